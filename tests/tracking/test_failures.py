"""Stores that fail in every way that people met: work goes on, one line tells, and in the end the store has it all."""

import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from tempfile import mkdtemp

import pytest
import yaml
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import PERMISSION_DENIED

from segbench import tracking
from segbench.tracking import waiting
from segbench.tracking.environment import SETTINGS
from segbench.tracking.journal import Journal
from segbench.tracking.location import problem
from tests.pipeline.stages import run_stage, tiny_parameters
from tests.tracking.stores import UNDISTURBED, Project, live_at_once, log_epochs, nothing_waits, without_tags

pytestmark = pytest.mark.slow

NOBODY = 65534
MOST_SILENT_S = 6 * 2.0
"""So many times the patience that the test sets."""


def damage(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    database.write_bytes(b"x" * database.stat().st_size)


def leave_half(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("DROP TABLE runs")
        connection.commit()


def leave_no_version(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    change_version(database, "DELETE FROM alembic_version")


def take_an_old_store(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    change_version(database, "UPDATE alembic_version SET version_num = '0584bdc529eb'")


def take_a_new_store(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    change_version(database, "UPDATE alembic_version SET version_num = 'ffffffffffff'")


def change_version(database: Path, statement: str) -> None:
    with closing(sqlite3.connect(database)) as connection:
        connection.execute(statement)
        connection.commit()


def name_a_folder(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (database.parent / "mlruns").as_uri())


def name_a_server_that_is_away(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://somebody:secret@127.0.0.1:{port}")


def name_a_folder_that_is_missing(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{database.parent}/missing/mlflow.db")


FAULTS: dict[Callable[[Path, pytest.MonkeyPatch], None], str] = {
    damage: "file is not a database; if it cannot be mended, move it away",
    leave_half: "it is no complete MLflow store; move it away",
    leave_no_version: "it is no complete MLflow store; move it away",
    take_an_old_store: "it is of an earlier version of MLflow; update it by: mlflow db upgrade",
    take_a_new_store: "it is of a later version of MLflow than is installed",
    name_a_folder: "MLflow no longer writes folders; MLFLOW_TRACKING_URI must be sqlite:///FILE or a server's address",
    name_a_server_that_is_away: "the server cannot be reached (Connection refused)",
    name_a_folder_that_is_missing: "there is no folder",
}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_what_the_store_cannot_take_is_sent_when_it_is_mended(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    fault: Callable[[Path, pytest.MonkeyPatch], None],
) -> None:  # fmt: skip
    live_at_once(monkeypatch)
    kept = project.root / "kept.db"
    shutil.copyfile(project.database, kept)
    tries = []

    def look(uri: str) -> str:
        tries.append(uri)
        return problem(uri)

    monkeypatch.setattr(waiting, "problem", look)
    with monkeypatch.context() as during_fault:
        fault(project.database, during_fault)
        tracking.check_store()
        told_before_work = capsys.readouterr().err
        project.train(epochs=[1, 2, 3])
        told_by_training = capsys.readouterr().err
        project.evaluate()
        assert capsys.readouterr().err == ""
        assert not tracking.send_waiting()
    for told in (told_before_work, told_by_training, capsys.readouterr().err):
        assert told.startswith("warning: MLflow: ") and told.count("\n") == 1
        assert FAULTS[fault] in told and "python -m pipeline.send_runs" in told
        assert "secret" not in told
    assert len(tries) == 3, "not at every epoch"
    shutil.copyfile(kept, project.database)
    assert tracking.send_waiting() and nothing_waits()
    assert without_tags(project.shows()) == [UNDISTURBED]
    assert capsys.readouterr().err == ""


def test_the_stage_check_tells_what_is_wrong_with_the_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(tiny_parameters()))
    (tmp_path / "mlflow.db").write_text("damaged")
    run_stage("check")
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"warning: MLflow: {tmp_path / 'mlflow.db'}: file is not a database")
    assert (tmp_path / "data/sources/train").exists(), "work goes on"


def test_a_server_that_takes_calls_and_never_answers_costs_little_time(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A look at it finds nothing wrong. A request waits for an answer, and is not sent again and again."""
    assert int(SETTINGS["MLFLOW_HTTP_REQUEST_TIMEOUT"]) <= 10
    live_at_once(monkeypatch)
    with socket.create_server(("127.0.0.1", 0), backlog=100) as silent, monkeypatch.context() as during_fault:
        during_fault.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{silent.getsockname()[1]}")
        during_fault.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "2")
        start = time.monotonic()
        project.train(epochs=[1, 2, 3])
        project.evaluate()
        assert not tracking.send_waiting()
        assert time.monotonic() - start < MOST_SILENT_S
    told = capsys.readouterr().err
    assert told.count("\n") == 2 and all(line.startswith("warning: MLflow: ") for line in told.splitlines()), told
    assert tracking.send_waiting() and nothing_waits()
    assert without_tags(project.shows()) == [UNDISTURBED]


def test_a_look_at_the_store_imports_no_mlflow(project: Project) -> None:
    project.database.write_text("damaged")
    found = project.run(
        "import sys; from segbench import tracking; tracking.check_store(); print('mlflow' in sys.modules)"
    )
    assert "file is not a database" in found.stderr and found.stdout == "False\n"


def test_a_store_that_fails_in_the_middle_of_a_training(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    live_at_once(monkeypatch)
    kept = project.root / "kept.db"
    with tracking.training_run(dataset="d", name="m", key="k", checkpoints=project.root / "k") as run:
        run.log_parameters({"lr": 0.1})
        log_epochs(run, [1])
        shutil.copyfile(project.database, kept)
        damage(project.database, monkeypatch)
        log_epochs(run, [2, 3])
    assert capsys.readouterr().err.count("\n") == 1
    shutil.copyfile(kept, project.database)
    assert tracking.send_waiting()
    (shown,) = project.shows()
    assert shown["metrics"] == {"loss": UNDISTURBED["metrics"]["loss"]} and shown["status"] == "FINISHED"


def test_a_store_that_is_removed_in_the_middle_is_made_anew_with_all_of_the_run(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    live_at_once(monkeypatch)
    with tracking.training_run(dataset="d", name="m", key="k", checkpoints=project.root / "k") as run:
        log_epochs(run, [1, 2])
        project.database.unlink()
        log_epochs(run, [3])
    with closing(sqlite3.connect(project.database)) as connection:
        found = connection.execute("SELECT step, value FROM metrics ORDER BY step").fetchall()
    assert found == UNDISTURBED["metrics"]["loss"]


def test_a_deleted_experiment_is_restored(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    live_at_once(monkeypatch)
    with tracking.training_run(dataset="d", name="m", key="k", checkpoints=project.root / "k") as run:
        run.log_parameters({"lr": 0.1})
        log_epochs(run, [1])
        delete_experiment(project)
        log_epochs(run, [2, 3])
    delete_experiment(project)
    project.evaluate()
    assert tracking.send_waiting()
    (shown,) = project.shows()
    assert (shown["metrics"], shown["status"]) == (UNDISTURBED["metrics"], "FINISHED")


def delete_experiment(project: Project) -> None:
    experiment = project.client.get_experiment_by_name("d")
    assert experiment is not None
    project.client.delete_experiment(experiment.experiment_id)


def test_an_experiment_that_cannot_be_restored_gets_a_successor(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: MlflowClient, experiment_id: str) -> None:
        raise MlflowException("not yours", error_code=PERMISSION_DENIED)

    project.client.delete_experiment(project.client.create_experiment("d"))
    monkeypatch.setattr(MlflowClient, "restore_experiment", refuse)
    for key in ("a", "b"):
        project.train(epochs=[1], key=key)
        assert tracking.send_waiting()
    successor = project.client.get_experiment_by_name("d (2)")
    assert successor is not None
    names = [run.info.run_name for run in project.client.search_runs([successor.experiment_id])]
    assert sorted(names) == ["benchmark", "m", "m"]


def test_a_run_that_was_deleted_is_replaced_by_a_new_one_with_all_of_it(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def delete_run() -> None:
        (run,) = (run for run in project.runs() if run.info.run_name == "m")
        project.client.delete_run(run.info.run_id)

    project.train_and_be_killed(epochs=[1])
    assert tracking.send_waiting()
    delete_run()
    live_at_once(monkeypatch)
    with tracking.training_run(dataset="d", name="m", key="k", checkpoints=project.root / "k") as run:
        log_epochs(run, [2])
        delete_run()
        log_epochs(run, [3])
    (shown,) = project.shows()
    assert shown["metrics"] == {"loss": UNDISTURBED["metrics"]["loss"]} and shown["params"] == {"lr": "0.1"}


@pytest.mark.parametrize("sent_before_the_kill", [0, 1, 3, 6])
def test_a_sender_that_was_killed_sends_nothing_twice(
    project: Project, monkeypatch: pytest.MonkeyPatch, sent_before_the_kill: int
) -> None:
    """Killed between sending an entry and noting that."""
    project.train(epochs=[1, 2, 3])
    project.evaluate()
    left = [None] * sent_before_the_kill
    note = Journal.note_sent

    def note_or_die(self: Journal, *, uri: str, run_id: str, end: int) -> None:
        if not left:
            raise KeyboardInterrupt
        left.pop()
        note(self, uri=uri, run_id=run_id, end=end)

    with monkeypatch.context() as dying, pytest.raises(KeyboardInterrupt):
        dying.setattr(Journal, "note_sent", note_or_die)
        tracking.send_waiting()
    assert tracking.send_waiting() and nothing_waits()
    assert without_tags(project.shows()) == [UNDISTURBED]


def test_an_entry_that_mlflow_refuses_holds_up_no_other(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    with tracking.evaluation_run(dataset="d", name="m", key="k") as run:
        run.log_metrics({"no name?": 1})
        run.log_metrics({"a": 1})
    assert tracking.send_waiting() and nothing_waits()
    assert project.shows()[0]["metrics"] == {"a": [(0, 1.0)]}
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and "not taken" in told


def size_of(path: Path) -> int:
    """0 if it is gone meanwhile, as SQLite's journals are."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_signal_while_the_first_store_is_made_leaves_none(project: Project, number: signal.Signals) -> None:
    project.database.unlink()
    project.train(epochs=[1, 2, 3])
    project.evaluate()
    code = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from pipeline.parent import end_with_parent; end_with_parent()\n"
        "from segbench import tracking; tracking.send_waiting()\n"
    )
    sender = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)
    while not any(map(size_of, project.root.glob("*mlflow.db*"))):
        assert sender.poll() is None
        time.sleep(0.01)
    sender.send_signal(number)
    assert sender.wait() != 0
    assert not project.database.exists()
    assert tracking.send_waiting()
    assert without_tags(project.shows()) == [UNDISTURBED]
    assert not list(project.root.glob(".mlflow.db*"))


def test_what_a_users_environment_says_of_other_runs_changes_nothing(project: Project) -> None:
    project.train(epochs=[1, 2, 3])
    project.evaluate()
    variables = ("MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_NAME", "MLFLOW_EXPERIMENT_ID", "MLFLOW_ACTIVE_MODEL_ID")
    code = (
        f"import os; os.environ.update({dict.fromkeys(variables, '77')}, MLFLOW_ENABLE_ASYNC_LOGGING='true')\n"
        "from segbench import tracking; tracking.send_waiting()\n"
    )
    assert project.run(code).stderr == ""
    assert without_tags(project.shows()) == [UNDISTURBED]


@pytest.mark.parametrize("read_only", ["file", "folder"])
def test_a_store_that_cannot_be_written_to_is_told_at_once(project: Project, read_only: str) -> None:
    """By another user than root, who may write everywhere."""
    root = Path(mkdtemp())
    database = root / "mlflow.db"
    shutil.copyfile(project.database, database)
    assert problem(f"sqlite:///{database}") == ""
    database.chmod(0o444 if read_only == "file" else 0o666)
    root.chmod(0o555 if read_only == "folder" else 0o777)
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            if os.geteuid() == 0:
                os.setgid(NOBODY)
                os.setuid(NOBODY)
            os.write(theirs, problem(f"sqlite:///{database}").encode())
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert os.read(ours, 1000).decode() == f"the {read_only} cannot be written to"
    root.chmod(0o777)
    shutil.rmtree(root)


FULL_DISK = """
import pathlib, resource, signal, sys
from segbench import tracking
tracking.runs.LIVE_AFTER_S = 0.0
root = pathlib.Path(sys.argv[1])
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
with tracking.training_run(dataset="d", name="m", key="k", checkpoints=root / "k") as run:
    if sys.argv[3]:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    run.log_parameters({"lr": 0.1})
    for epoch in (1, 2, 3):
        run.log_metrics({"loss": 1 / epoch}, step=epoch)
    (root / "curves.txt").write_text("content")
    run.log_file(root / "curves.txt")
"""


@pytest.mark.parametrize("what", ["store", "journal"])
def test_a_full_disk_costs_no_result(project: Project, what: str) -> None:
    """A limit on the size of files: the store is beyond it, or the journal is until room is made."""
    limit, is_mended = (20_000, "") if what == "store" else (100, "mended")
    command = [sys.executable, "-c", FULL_DISK, str(project.root), str(limit), is_mended]
    # Not in the project: `git status` under the limit would leave a lock there.
    found = subprocess.run(command, cwd=project.root, capture_output=True, text=True)
    assert found.returncode == 0 and found.stderr.count("\n") == 1, found.stderr
    assert {"store": "data/tracking", "journal": "kept in memory"}[what] in found.stderr
    project.evaluate()
    assert tracking.send_waiting()
    assert without_tags(project.shows()) == [UNDISTURBED]
