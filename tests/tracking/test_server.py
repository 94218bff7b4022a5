"""A real MLflow server that is killed in the middle of a training."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from urllib.request import urlopen

import pytest
from mlflow import MlflowClient

from segbench import tracking
from segbench.tracking import runs
from tests.tracking.stores import (  # fmt: skip
    UNDISTURBED,
    Project,
    live_at_once,
    log_epochs,
    log_training,
    nothing_waits,
    without_tags,
)


@dataclass
class Server:
    """A server of a project's store, at the same address after each start."""

    project: Project
    port: int
    process: subprocess.Popen[bytes] | None = None

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self.process = subprocess.Popen(
            [
                sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(self.port),
                "--workers", "1", "--backend-store-uri", f"sqlite:///{self.project.database}",
                "--artifacts-destination", str(self.project.root / "served"),
            ],
            env={**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"},
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        while not self._answers():
            assert self.process.poll() is None
            time.sleep(0.1)

    def _answers(self) -> bool:
        try:
            with urlopen(f"{self.uri}/health", timeout=1):
                return True
        except OSError:
            return False

    def kill(self) -> None:
        """End it and its workers at once."""
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@pytest.fixture
def server(project: Project, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = Server(project, port)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.uri)
    server.start()
    yield server
    server.kill()


def test_a_server_that_is_away_for_a_while_gets_all(
    project: Project, server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    live_at_once(monkeypatch)
    monkeypatch.setattr(runs, "RETRY_AFTER_S", 0.0)
    with tracking.training_run(dataset="d", name="m", key="k", checkpoints=project.root / "k") as run:
        log_training(run, project.root, epochs=[1])
        server.kill()
        log_epochs(run, [2, 3])
        told = capsys.readouterr().err
        server.start()
    project.evaluate()
    assert told.count("\n") == 1 and told.startswith(f"warning: MLflow: {server.uri}: ")
    assert tracking.send_waiting() and nothing_waits()
    assert without_tags(project.shows(MlflowClient(server.uri))) == [UNDISTURBED]
