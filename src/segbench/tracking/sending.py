"""Journals -> MLflow: the only import of it.

What is sent twice, since a sender was killed, changes nothing: MLflow keeps a metric's value once per step and time,
and parameters, tags, statuses and files take the place of what is there; a run is found again by a tag.
"""

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from filelock import FileLock
from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag
from mlflow.exceptions import MlflowException

from segbench.files import project_root
from segbench.tracking.journal import Entry, Journal
from segbench.tracking.location import sqlite_path
from segbench.tracking.trouble import warn

KEY_TAG = "segbench.training_key"
JOURNAL_TAG = "segbench.journal"
EXPERIMENT_TAGS = {"mlflow.experimentKind": "custom_model_development"}
"""Without this tag, the UI opens an experiment with its pages for language models."""
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

    def send(self, journal: Journal) -> None:
        """Send the entries that this store has not got. If the run was deleted, all of them go to a new one."""
        self._make_if_missing()
        sent = journal.sent
        run_id, end = (sent["run_id"], sent["end"]) if sent.get("uri") == self.uri else ("", 0)
        if end == journal.size:
            return
        if not self._is_active(run_id):
            run_id, end = self._found(journal, former=run_id, end=end)
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
        """The journal's run in this store, made if need be, and the byte from which it lacks the entries."""
        header = journal.header
        assert header is not None
        tag, value = (JOURNAL_TAG, journal.name) if journal.is_of_training else (KEY_TAG, header["key"])
        with _one_at_a_time():
            experiment_id = self._experiment(header["dataset"])
            found = self._client.search_runs(
                [experiment_id], f"tags.`{tag}` = '{value}'", order_by=["attributes.start_time DESC"], max_results=1
            )
            if found:
                run_id = str(found[0].info.run_id)
                return run_id, end if run_id == former else 0
            tags = {**header["tags"], KEY_TAG: header["key"], JOURNAL_TAG: journal.name}
            run = self._client.create_run(experiment_id, header["time"], tags, header["name"])
            return str(run.info.run_id), 0

    def _experiment(self, dataset: str) -> str:
        """The id of the dataset's experiment. A deleted one is restored, or another one made if that fails."""
        name, number = dataset, 1
        while True:
            experiment = self._client.get_experiment_by_name(name)
            if experiment is None:
                is_own = self.uri == f"sqlite:///{project_root() / 'mlflow.db'}"
                location = (project_root() / "mlartifacts" / name).as_uri() if is_own else None
                return str(self._client.create_experiment(name, artifact_location=location, tags=EXPERIMENT_TAGS))
            if experiment.lifecycle_stage == "active":
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
                for params in _batches(entry["params"]):
                    self._client.log_batch(run_id, params=[Param(name, value) for name, value in params])
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
            case "status" if entry["status"] == "RUNNING":
                self._client.update_run(run_id, status="RUNNING")
            case "status":
                self._client.set_terminated(run_id, entry["status"], end_time=entry["time"])


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
