"""Journals -> MLflow: the only import of it.

What is sent twice, since a sender was killed, changes nothing: MLflow keeps a metric's value once per step and time,
and parameters, tags, statuses and files take the place of what is there; a run is found again by a tag.
"""

import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from filelock import FileLock
from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, Run, RunTag, ViewType
from mlflow.exceptions import MlflowException
from mlflow.utils.mlflow_tags import MLFLOW_LOGGED_ARTIFACTS, MLFLOW_PARENT_RUN_ID, MLFLOW_RUN_TYPE
from mlflow.utils.validation import MAX_PARAM_VAL_LENGTH

from segbench.files import project_root
from segbench.tracking.journal import Entry, Journal
from segbench.tracking.location import sqlite_path
from segbench.tracking.names import VIEW_TAGS
from segbench.tracking.trouble import warn

CONTEXT_TAG = "mlflow.data.context"
KEY_TAG = "segbench.training_key"
JOURNAL_TAG = "segbench.journal"
EXPERIMENT_TAGS = {"mlflow.experimentKind": "custom_model_development", **VIEW_TAGS}
"""Without the first, the UI opens an experiment with its pages for language models."""
CHILD_TAGS = {MLFLOW_RUN_TYPE: "evaluation"}
"""For runs of this kind, the UI opens an experiment with what is below a run unfolded."""
REFUSALS = {"INVALID_PARAMETER_VALUE", "INVALID_STATE", "RESOURCE_DOES_NOT_EXIST"}
"""MLflow's codes for an entry that it will never take, unless the run was deleted."""
MOST_PER_CALL = 100
LOCK_WAIT_S = 60.0


class Store:
    """An MLflow store. What fails in it raises MlflowException, OSError or what its libraries raise."""

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self._make_if_missing()
        self._client = MlflowClient(uri)
        self._adopted: set[str] = set()

    def send(self, journal: Journal) -> None:
        """Send the entries that this store has not got. If the run was deleted, all of them go to a new one."""
        self._make_if_missing()
        sent = journal.sent
        run_id, end = (sent["run_id"], sent["end"]) if sent.get("uri") == self.uri else ("", 0)
        if end == journal.size:
            return
        if not self._is_active(run_id):
            run_id, end = self._found(journal, former=run_id, end=end)
        if not run_id:
            return
        if run_id not in self._adopted:
            self._adopt(run_id, journal)
            self._adopted.add(run_id)
        for entry, next_end in journal.entries(end):
            try:
                self._send_entry(run_id, journal, entry)
            except MlflowException as error:
                if error.error_code not in REFUSALS:
                    raise
                if not self._is_active(run_id):  # deleted meanwhile
                    self.send(journal)
                    return
                warn(f"{journal.folder.name}: not taken: {error.message}")
            journal.note_sent(uri=self.uri, run_id=run_id, end=next_end)

    def _make_if_missing(self) -> None:
        path = sqlite_path(self.uri)
        if path is not None and not path.exists():
            with _one_at_a_time():
                if not path.exists():
                    _make(path)

    def _is_active(self, run_id: str) -> bool:
        if not run_id:
            return False
        try:
            return bool(self._client.get_run(run_id).info.lifecycle_stage == "active")
        except MlflowException as error:
            if error.error_code in REFUSALS:
                return False
            raise

    def _found(self, journal: Journal, *, former: str, end: int) -> tuple[str, int]:
        """The journal's run in this store, made if need be, and the byte from which it lacks the entries.

        No run, an empty text, for a journal that only joins one, if there is none.
        """
        header = journal.header
        assert header is not None
        tag, value = (JOURNAL_TAG, journal.name) if journal.is_of_training else (KEY_TAG, header["key"])
        with _one_at_a_time():
            experiment_id = self._experiment(header["dataset"])
            if _is_benchmark(header):
                run_id = self._benchmark(experiment_id, header)
                return run_id, end if run_id == former else 0
            found = self._client.search_runs(
                [experiment_id], f"tags.`{tag}` = '{value}'", order_by=["attributes.start_time DESC"], max_results=1
            )
            if found:
                run_id = str(found[0].info.run_id)
                return run_id, end if run_id == former else 0
            if header.get("joins"):
                return "", 0
            tags = {**header["tags"], **CHILD_TAGS, KEY_TAG: header["key"], JOURNAL_TAG: journal.name}
            run = self._client.create_run(experiment_id, header["time"], tags, header["name"])
            return str(run.info.run_id), 0

    def _adopt(self, run_id: str, journal: Journal) -> None:
        """See that the run is below that of its benchmark, which may have been deleted."""
        header = journal.header
        assert header is not None
        if "parent" not in header or _is_benchmark(header):  # the former: of an earlier version
            return
        run = self._client.get_run(run_id)
        parent_id = run.data.tags.get(MLFLOW_PARENT_RUN_ID, "")
        while not self._is_active(parent_id):  # again if another machine meanwhile removes it as one of two
            with _one_at_a_time():
                parent_id = self._benchmark(run.info.experiment_id, header)
            self._client.set_tag(run_id, MLFLOW_PARENT_RUN_ID, parent_id)

    def _benchmark(self, experiment_id: str, header: Entry) -> str:
        """The id of the run above those of the models. A deleted one is restored, or another one made if that fails."""
        found = self._tagged(experiment_id, KEY_TAG, header["parent"], ViewType.ALL)
        for run in sorted(found, key=lambda run: run.info.lifecycle_stage != "active"):
            try:
                if run.info.lifecycle_stage != "active":
                    self._client.restore_run(run.info.run_id)
            except MlflowException as error:
                if error.error_code not in REFUSALS | {"PERMISSION_DENIED"}:
                    raise
                continue
            break
        else:
            tags = {**header["tags"], KEY_TAG: header["parent"]}
            self._client.create_run(experiment_id, header["time"], tags, header["parent"])
            run = self._only_one(experiment_id, header["parent"])
        if run.info.status == "RUNNING":  # no stage would end it if one fails
            self._client.set_terminated(run.info.run_id, end_time=header["time"])
        return str(run.info.run_id)

    def _only_one(self, experiment_id: str, key: str) -> Run:
        """The oldest of the benchmark's runs, where machines have made one each at the same time; the rest is removed.

        Whoever makes the last one sees all of them. What is below one that is removed moves to the oldest.
        """
        kept, *others = self._tagged(experiment_id, KEY_TAG, key, ViewType.ACTIVE_ONLY)
        for other in others:
            try:
                self._client.delete_run(other.info.run_id)
            except MlflowException as error:  # the other machine does the same
                if error.error_code not in REFUSALS:
                    raise
            for child in self._tagged(experiment_id, MLFLOW_PARENT_RUN_ID, other.info.run_id, ViewType.ALL):
                self._client.set_tag(child.info.run_id, MLFLOW_PARENT_RUN_ID, kept.info.run_id)
        return kept

    def _tagged(self, experiment_id: str, tag: str, value: str, view: int) -> list[Run]:
        """Runs with a tag of that value, the oldest first."""
        found = self._client.search_runs(
            [experiment_id], f"tags.`{tag}` = '{value}'", view, order_by=["attributes.start_time ASC"]
        )
        return sorted(found, key=lambda run: (run.info.start_time, run.info.run_id))

    def _experiment(self, dataset: str) -> str:
        """The id of the dataset's experiment. A deleted one is restored, or another one made if that fails."""
        name, number = dataset, 1
        while True:
            experiment = self._client.get_experiment_by_name(name)
            if experiment is None:
                is_own = self.uri == f"sqlite:///{project_root() / 'mlflow.db'}"
                location = (project_root() / "mlartifacts" / name).as_uri() if is_own else None
                try:
                    return str(self._client.create_experiment(name, artifact_location=location, tags=EXPERIMENT_TAGS))
                except MlflowException as error:
                    if error.error_code != "RESOURCE_ALREADY_EXISTS":
                        raise
                    continue  # another machine has made it meanwhile
            if experiment.lifecycle_stage == "active":
                for name, value in EXPERIMENT_TAGS.items() - experiment.tags.items():  # made by an earlier version
                    self._client.set_experiment_tag(experiment.experiment_id, name, value)
                return str(experiment.experiment_id)
            try:
                self._client.restore_experiment(experiment.experiment_id)
                return str(experiment.experiment_id)
            except MlflowException as error:
                if error.error_code not in REFUSALS | {"PERMISSION_DENIED"}:
                    raise
            number += 1
            name = f"{dataset} ({number})"

    def _send_entry(self, run_id: str, journal: Journal, entry: Entry) -> None:
        match entry["do"]:
            case "params":
                self._send_parameters(run_id, entry["params"])
            case "metrics":
                at = (entry["time"], entry["step"])
                for metrics in _batches(entry["metrics"]):
                    self._client.log_batch(run_id, metrics=[Metric(name, value, *at) for name, value in metrics])
            case "tags":
                for tags in _batches(entry["tags"]):
                    self._client.log_batch(run_id, tags=[RunTag(name, value) for name, value in tags])
            case "file":
                if (path := journal.path_of(entry)).exists():
                    self._client.log_artifact(run_id, str(path), entry["folder"] or None)
            case "table":
                self._show_as_table(run_id, entry["file"])
            case "dataset":
                dataset = Dataset(entry["name"], entry["digest"], "local", entry["source"], profile=entry["profile"])
                with _one_at_a_time():  # several trainings name the same one
                    self._client.log_inputs(run_id, [DatasetInput(dataset, [InputTag(CONTEXT_TAG, "training")])])
            case "status" if entry["status"] == "RUNNING":
                self._client.update_run(run_id, status="RUNNING")
            case "status" if self._has_its_end(run_id, journal, entry):
                pass
            case "status":
                self._client.set_terminated(run_id, entry["status"], end_time=entry["time"])

    def _has_its_end(self, run_id: str, journal: Journal, entry: Entry) -> bool:
        """Whether it is an evaluation that went well, as the training did: MLflow shows how long that took."""
        header = journal.header
        if journal.is_of_training or header is None or _is_benchmark(header):
            return False
        return bool(entry["status"] == "FINISHED" == self._client.get_run(run_id).info.status)

    def _send_parameters(self, run_id: str, values: dict[str, str]) -> None:
        """MLflow never changes a parameter: a later value, as of the CRF after another search, becomes a tag."""
        known = self._client.get_run(run_id).data.params
        is_other = {name for name in values.keys() & known.keys() if known[name] != values[name][:MAX_PARAM_VAL_LENGTH]}
        for params in _batches({name: value for name, value in values.items() if name not in is_other}):
            self._client.log_batch(run_id, params=[Param(name, value) for name, value in params])
        for name in is_other:
            self._client.set_tag(run_id, f"now.{name}", values[name])

    def _show_as_table(self, run_id: str, file: str) -> None:
        """Let the UI know that a file of the run holds a table."""
        tables = json.loads(self._client.get_run(run_id).data.tags.get(MLFLOW_LOGGED_ARTIFACTS, "[]"))
        if (table := {"path": file, "type": "table"}) not in tables:
            self._client.set_tag(run_id, MLFLOW_LOGGED_ARTIFACTS, json.dumps([*tables, table]))


def _is_benchmark(header: Entry) -> bool:
    """Whether a journal is of the run above those of the models."""
    return bool(header.get("parent") == header["key"])


def _batches(values: dict[str, Any]) -> Iterator[list[tuple[str, Any]]]:
    """(name, value) in lists that are short enough for one call."""
    items = list(values.items())
    return (items[start : start + MOST_PER_CALL] for start in range(0, len(items), MOST_PER_CALL))


def _make(path: Path) -> None:
    """A new SQLite store, made aside and moved in place: half of one, which a kill may leave, cannot be opened."""
    for left in path.parent.glob(f".{path.name}.*.partial*"):
        left.unlink()
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.partial")  # MLflow keeps what it opened by name
    try:
        MlflowClient(f"sqlite:///{temporary}").get_experiment("0")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _one_at_a_time() -> FileLock:
    """Processes that create a store, an experiment or a run at the same time break each other."""
    folder = project_root() / "data"
    folder.mkdir(exist_ok=True)
    return FileLock(folder / "mlflow.lock", timeout=LOCK_WAIT_S)
