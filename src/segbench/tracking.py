"""MLflow keeps the record of how results came to be. No result is ever read back from it.

There is one experiment per dataset and one run per training: `train` begins it, `evaluate` completes it. The audit of
the dataset by `prepare` has a run of its own.
The store is mlflow.db in the project's root, or what MLFLOW_TRACKING_URI names.
"""

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

from segbench.files import project_root
from segbench.machine import git_commit

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("DO_NOT_TRACK", "true")
os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")  # otherwise a new store logs each table that it makes
from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag
from mlflow.exceptions import MlflowException

RUN_ID_FILE = "mlflow_run_id"
KEY_TAG = "segbench.training_key"
FAILURE_TAG = "segbench.failure"
MOST_PARAMS_PER_CALL = 100
EXPERIMENT_TAGS = {"mlflow.experimentKind": "custom_model_development"}
"""Without this tag, the UI opens an experiment with its pages for language models."""


@dataclass(frozen=True)
class Run:
    """One MLflow run, open for logging."""

    client: MlflowClient
    run_id: str

    def log_parameters(self, parameters: Mapping[str, Any]) -> None:
        """Log parameters; those of nested sections get dotted names."""
        params = [Param(name, str(value)) for name, value in flattened(parameters)]
        for start in range(0, len(params), MOST_PARAMS_PER_CALL):
            self.client.log_batch(self.run_id, params=params[start : start + MOST_PARAMS_PER_CALL])

    def log_metrics(self, metrics: Mapping[str, float | None], *, step: int = 0) -> None:
        """Log metrics in one call, without those that are None."""
        now_ms = int(time.time() * 1000)
        entities = [Metric(name, float(value), now_ms, step) for name, value in metrics.items() if value is not None]
        self.client.log_batch(self.run_id, metrics=entities)

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Add or replace tags."""
        self.client.log_batch(self.run_id, tags=[RunTag(name, value) for name, value in tags.items()])

    def fail(self, reason: str) -> None:
        """End the run as failed, with a tag that says why."""
        self.set_tags({FAILURE_TAG: reason})
        self.client.set_terminated(self.run_id, "FAILED")

    def log_file(self, path: Path, folder: str | None = None) -> None:
        """Store a copy of a file."""
        self.client.log_artifact(self.run_id, str(path), folder)


@contextmanager
def training_run(*, dataset: str, name: str, key: str, checkpoints: Path) -> Iterator[Run]:
    """The run of a training. A training that was killed continues its run, whose id lies beside its checkpoints."""
    client, experiment_id = _open(dataset)
    id_file = checkpoints / RUN_ID_FILE
    run_id = _rejoined(client, id_file) if id_file.exists() else None
    if run_id is None:
        run_id = _create(client, experiment_id, name=name, key=key)
        checkpoints.mkdir(parents=True, exist_ok=True)
        id_file.write_text(run_id)
    with _closing(client, run_id) as run:
        yield run


@contextmanager
def evaluation_run(*, dataset: str, name: str, key: str) -> Iterator[Run]:
    """The run of the training with that key; a new one if this store has none, as in a clone with pulled weights."""
    client, experiment_id = _open(dataset)
    found = client.search_runs(
        [experiment_id], f"tags.`{KEY_TAG}` = '{key}'", order_by=["attributes.start_time DESC"], max_results=1
    )
    run_id = found[0].info.run_id if found else _create(client, experiment_id, name=name, key=key)
    with _closing(client, run_id) as run:
        yield run


def flattened(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """(dotted name, value) of every leaf."""
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield from flattened(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def numbers(tree: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """(dotted name, value) of every leaf that is a number."""
    return ((name, value) for name, value in flattened(tree) if isinstance(value, int | float))


def _open(dataset: str) -> tuple[MlflowClient, str]:
    """A client and the dataset's experiment, made if need be."""
    root = project_root()
    uri = os.environ.get("MLFLOW_TRACKING_URI")
    # Processes that create a store or an experiment at the same time break each other.
    (root / "data").mkdir(exist_ok=True)
    with FileLock(root / "data" / "mlflow.lock"):
        client = MlflowClient(uri or f"sqlite:///{root / 'mlflow.db'}")
        experiment = client.get_experiment_by_name(dataset)
        if experiment is not None:
            return client, experiment.experiment_id
        location = None if uri else (root / "mlartifacts" / dataset).as_uri()
        return client, client.create_experiment(dataset, artifact_location=location, tags=EXPERIMENT_TAGS)


def _create(client: MlflowClient, experiment_id: str, *, name: str, key: str) -> str:
    tags = {KEY_TAG: key, "mlflow.source.name": "dvc repro", "mlflow.source.git.commit": git_commit()}
    for variable in ("DVC_EXP_NAME", "DVC_EXP_BASELINE_REV"):
        if variable in os.environ:
            tags[variable.lower()] = os.environ[variable]
    return client.create_run(experiment_id, run_name=name, tags=tags).info.run_id


def _rejoined(client: MlflowClient, id_file: Path) -> str | None:
    try:
        return client.get_run(id_file.read_text()).info.run_id
    except MlflowException:  # the id is of another store
        return None


@contextmanager
def _closing(client: MlflowClient, run_id: str) -> Iterator[Run]:
    client.update_run(run_id, status="RUNNING")
    try:
        yield Run(client, run_id)
    except BaseException:
        client.set_terminated(run_id, "FAILED")
        raise
    if client.get_run(run_id).info.status == "RUNNING":  # it may have failed without an error
        client.set_terminated(run_id, "FINISHED")
