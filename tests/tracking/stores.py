"""A project with a real SQLite store, and what it shows."""

import logging
import shutil
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from segbench import tracking
from segbench.tracking import runs
from segbench.tracking.journal import journal_names

IDS = ("segbench.journal", "mlflow.parentRunId")
"""Tags that differ each time."""


@dataclass(frozen=True)
class Project:
    """A folder that stages run in. It has a store already, since making one takes seconds."""

    root: Path

    @classmethod
    def make(cls, root: Path, monkeypatch: pytest.MonkeyPatch) -> "Project":
        """root is the project's for this process and those that it starts; nothing names another store."""
        logging.getLogger("mlflow").setLevel(logging.CRITICAL)  # as SETTINGS say, which come too late in this process
        monkeypatch.setenv("DVC_ROOT", str(root))
        monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
        shutil.copyfile(_empty_store(), root / "mlflow.db")
        return cls(root)

    @property
    def database(self) -> Path:
        return self.root / "mlflow.db"

    @property
    def client(self) -> MlflowClient:
        return MlflowClient(f"sqlite:///{self.database}")

    def train(self, *, epochs: list[int], key: str = "k") -> None:
        """Log a training, to its end."""
        with tracking.training_run(dataset="d", name="m", key=key, checkpoints=self.root / key) as run:
            log_training(run, self.root, epochs=epochs)

    def train_and_be_killed(self, *, epochs: list[int], key: str = "k") -> None:
        """The same in a process that dies after the last of these epochs."""
        code = (
            "import os, pathlib, signal; from segbench import tracking\n"
            f"folder = pathlib.Path({str(self.root / key)!r})\n"
            f"with tracking.training_run(dataset='d', name='m', key={key!r}, checkpoints=folder) as run:\n"
            "    run.log_parameters({'lr': 0.1})\n"
            f"    for epoch in {epochs}: run.log_metrics({{'loss': 1 / epoch}}, step=epoch)\n"
            "    os.kill(os.getpid(), signal.SIGKILL)\n"
        )
        self.run(code)

    def evaluate(self, *, key: str = "k") -> None:
        """Log an evaluation."""
        with tracking.evaluation_run(dataset="d", name="m", key=key) as run:
            run.log_metrics({"test.mean_iou": 0.5})
            run.log_file(_file(self.root / "picture.txt"), "pictures")

    def run(self, code: str) -> subprocess.CompletedProcess[str]:
        """Run code in another process."""
        project = Path(__file__).parents[2]
        return subprocess.run([sys.executable, "-c", code], cwd=project, text=True, capture_output=True)

    def shows(self, client: MlflowClient | None = None) -> list[dict[str, Any]]:
        """All that the store has of each run of the experiment, but times and ids, and the one above them all."""
        client = client or self.client
        found = self.runs(client)
        (benchmark,) = (run for run in found if run.info.run_name.startswith("benchmark"))
        found.remove(benchmark)
        assert {run.data.tags["mlflow.parentRunId"] for run in found} <= {benchmark.info.run_id}
        assert benchmark.info.status == "FINISHED"
        return [
            {
                "name": run.info.run_name,
                "status": run.info.status,
                "params": run.data.params,
                "metrics": {
                    name: [(point.step, point.value) for point in client.get_metric_history(run.info.run_id, name)]
                    for name in run.data.metrics
                },
                "tags": {name: value for name, value in run.data.tags.items() if name not in IDS},
                "files": sorted(
                    item.path for folder in ("", "pictures") for item in client.list_artifacts(run.info.run_id, folder)
                ),
            }
            for run in found
        ]

    def runs(self, client: MlflowClient | None = None) -> list[Run]:
        """All runs of the experiment, the first one first."""
        client = client or self.client
        experiment = client.get_experiment_by_name("d")
        assert experiment is not None and experiment.lifecycle_stage == "active"
        return list(client.search_runs([experiment.experiment_id], order_by=["attributes.start_time ASC"]))


def log_epochs(run: tracking.Run, epochs: list[int]) -> None:
    for epoch in epochs:
        run.log_metrics({"loss": 1 / epoch, "absent": None}, step=epoch)


def log_training(run: tracking.Run, folder: Path, *, epochs: list[int]) -> None:
    """What the stage `train` logs."""
    run.log_parameters({"lr": 0.1})
    run.set_tags({"machine": "two cores"})
    log_epochs(run, epochs)
    run.log_file(_file(folder / "curves.txt"))


UNDISTURBED: dict[str, Any] = {
    "name": "m", "status": "FINISHED", "params": {"lr": "0.1"},
    "metrics": {"loss": [(1, 1.0), (2, 0.5), (3, 1 / 3)], "test.mean_iou": [(0, 0.5)]},
    "files": ["curves.txt", "pictures", "pictures/picture.txt"],
}  # fmt: skip
"""The run of a training of three epochs and of its evaluation, but its tags."""


def without_tags(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: value for name, value in run.items() if name != "tags"} for run in found]


def nothing_waits() -> bool:
    """Whether no journal is left."""
    return not journal_names()


def live_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a training send from its first epoch on."""
    monkeypatch.setattr(runs, "LIVE_AFTER_S", 0.0)


def _file(path: Path) -> Path:
    path.write_text("content")
    return path


@cache
def _empty_store() -> Path:
    path = Path(mkdtemp()) / "mlflow.db"
    MlflowClient(f"sqlite:///{path}").get_experiment("0")
    return path
