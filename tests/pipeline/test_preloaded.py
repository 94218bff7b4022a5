"""What stands in for DVC's own start of a stage, and what is imported anew."""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest
from dvc.stage.exceptions import StageCmdFailedError

from pipeline.preloaded import STAGES, Forks, _ask_for_stage
from tests.parameters import PROJECT
from tests.pipeline.stages import STAGES as OF_DVC

STAGE = "python -m pipeline.train --dataset 'two words'"


def no_shell(*_: Any, **__: Any) -> None:
    raise AssertionError("DVC started a shell")


def answering(answer: Callable[[Connection], None]) -> Connection:
    """The end of a pipe, whose other end a thread answers on."""
    ours, theirs = get_context("spawn").Pipe()
    threading.Thread(target=answer, args=(theirs,), daemon=True).start()
    return ours


def test_dvc_asks_for_a_stage_with_its_arguments_and_environment() -> None:
    asked = []

    def answer(connection: Connection) -> None:
        asked.append(connection.recv())
        connection.send(0)

    before = signal.getsignal(signal.SIGINT)
    _ask_for_stage(answering(answer), no_shell, "/bin/sh", STAGE, env={"DVC_STAGE": "train"}, shell=False)
    assert asked == [("pipeline.train", ["--dataset", "two words"], {"DVC_STAGE": "train"})]
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (lambda connection: connection.send(connection.recv() and 7), 7),
        (lambda connection: connection.close(), 143),
        (lambda connection: (connection.recv(), connection.close()), 143),
    ],
)
def test_a_stage_that_fails_or_that_nobody_runs_fails_for_dvc(answer: Callable[[Connection], Any], code: int) -> None:
    with pytest.raises(StageCmdFailedError) as raised:
        _ask_for_stage(answering(answer), no_shell, "/bin/sh", STAGE, env={})
    assert str(raised.value) == f"failed to run: {STAGE}, exited with {code}"


def test_a_command_of_another_kind_is_run_by_dvc() -> None:
    run: list[tuple[Any, ...]] = []
    closed, _ = get_context("spawn").Pipe()
    _ask_for_stage(closed, lambda *arguments, **named: run.append((*arguments, named)), "/bin/sh", "ls 'a b'", env={})
    assert run == [("/bin/sh", "ls 'a b'", {"env": {}})]


def test_every_stage_of_a_model_is_imported_beforehand() -> None:
    of_models = {name for name, body in OF_DVC.items() if body.get("matrix", {}).get("model") == "${benchmark.models}"}
    assert set(STAGES) == of_models


@pytest.fixture
def forks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Forks:
    """In a folder with one source, of an hour ago, and with a fork server that imports nothing."""
    source = tmp_path / "pipeline" / "train.py"
    source.parent.mkdir()
    source.write_text("")
    os.utime(source, (time.time() - 3600,) * 2)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("pipeline.preloaded.IMPORTED", ())
    return Forks(threads=1)


def test_sources_that_were_edited_since_are_known(forks: Forks) -> None:
    assert not forks._is_edited()
    Path("pipeline/.#train.py").symlink_to("nothing: a lock of Emacs")
    assert not forks._is_edited()
    Path("pipeline/train.py").write_text("print()")
    assert forks._is_edited()


def test_the_environment_of_the_process_that_starts_others_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.preloaded.IMPORTED", ())
    before = dict(os.environ)
    Forks(threads=3)
    assert dict(os.environ) == before


@pytest.mark.slow
def test_dvc_in_a_fork_prints_line_by_line_and_ends_with_its_code(
    monkeypatch: pytest.MonkeyPatch, forks: Forks
) -> None:
    """In a folder that is no project of DVC."""
    monkeypatch.setenv("PYTHONPATH", str(PROJECT))
    monkeypatch.setattr(sys, "path", [str(PROJECT), *sys.path])
    lines: list[str] = []
    assert forks.run_dvc("status", on_line=lines.append) == 253
    assert "ERROR: you are not inside of a DVC repository" in "".join(lines)
    assert forks._running == set()
