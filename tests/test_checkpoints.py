"""The folders of trainings: who may write there, and when they go."""

import subprocess
import sys
from pathlib import Path

import pytest

from segbench.checkpoints import (
    RECORD,
    WEIGHTS,
    checkpoint_folder,
    hold,
    remove_checkpoints,
    remove_finished,
    remove_folders,
)
from segbench.files import write_json
from tests.parameters import PROJECT

HOLDS_B_AND_A = """
import sys, time
from segbench.checkpoints import hold
held = hold(["b", "a"])
print("holds", flush=True)
sys.stdin.readline()
held.close()
"""


def test_a_process_waits_for_another_that_does_the_same_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    held = hold(["a"])
    other = subprocess.Popen(
        [sys.executable, "-c", HOLDS_B_AND_A], text=True, env={"PYTHONPATH": str(PROJECT / "src")},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert other.stdin and other.stdout and other.stderr
    assert other.stderr.readline() == (
        f"waiting for another process, which does the same training: {tmp_path}/data/checkpoints/a\n"
    )
    hold(["c"]).close()
    held.close()
    assert other.stdout.readline() == "holds\n"
    other.stdin.write("\n")
    other.stdin.close()
    assert other.wait() == 0
    hold(["a", "b"]).close()


@pytest.fixture
def finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """Folders of finished trainings by key, and `killed`, of one that was killed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    folders = {key: checkpoint_folder(key) for key in ("a", "b", "other", "killed")}
    for key, folder in folders.items():
        folder.mkdir(parents=True)
        (folder / "last.ckpt").touch()
        if key != "killed":
            (folder / WEIGHTS).touch()
            write_json(folder / RECORD, {"dataset": "other" if key == "other" else "scenes"})
    return folders


def test_only_the_finished_trainings_of_the_dataset_go_and_none_at_which_a_process_is(
    finished: dict[str, Path],
) -> None:
    held = hold(["b"])
    remove_finished("scenes")
    assert [key for key, folder in finished.items() if folder.exists()] == ["b", "other", "killed"]
    held.close()
    remove_finished("scenes")
    assert [key for key, folder in finished.items() if folder.exists()] == ["other", "killed"]


def test_a_damaged_record_stays_for_the_training_that_names_it(finished: dict[str, Path]) -> None:
    (finished["a"] / RECORD).write_text('{"dataset": "sce')
    remove_finished("scenes")
    assert [key for key, folder in finished.items() if folder.exists()] == ["a", "other", "killed"]


def test_a_finished_training_keeps_what_it_is_known_by(finished: dict[str, Path]) -> None:
    remove_checkpoints("a")
    assert sorted(path.name for path in finished["a"].iterdir()) == [RECORD, WEIGHTS]
    remove_checkpoints("a")


def test_folders_of_what_is_done_go_but_not_where_a_process_is(finished: dict[str, Path]) -> None:
    held = hold(["b"])
    remove_folders(["b", "killed", "unknown"])
    held.close()
    assert [key for key, folder in finished.items() if folder.exists()] == ["a", "b", "other"]
