"""Where an interrupted training waits."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from segbench.training.resume import MovableCheckpoint, WholeCheckpoints, checkpoint_to_continue, training_key


def test_a_kill_while_a_checkpoint_is_written_leaves_the_one_before(tmp_path: Path) -> None:
    class Unwritable:
        def __reduce__(self) -> str:
            raise KeyboardInterrupt

    writer = WholeCheckpoints()
    writer.save_checkpoint({"epoch": 1}, tmp_path / "last.ckpt")
    with pytest.raises(KeyboardInterrupt):
        writer.save_checkpoint({"epoch": 2, "state": [torch.rand(1000), Unwritable()]}, str(tmp_path / "last.ckpt"))
    assert writer.load_checkpoint(tmp_path / "last.ckpt") == {"epoch": 1}


def test_a_key_changes_with_a_setting_and_with_a_source_and_with_nothing_else() -> None:
    key = training_key({"lr": 0.1, "train": {"seeds": [0]}}, {"fit.py": "abc", "task.py": "def"})
    assert key == training_key({"train": {"seeds": [0]}, "lr": 0.1}, {"task.py": "def", "fit.py": "abc"})
    others = [
        training_key({"lr": 0.2, "train": {"seeds": [0]}}, {"fit.py": "abc", "task.py": "def"}),
        training_key({"lr": 0.1, "train": {"seeds": [1]}}, {"fit.py": "abc", "task.py": "def"}),
        training_key({"lr": 0.1, "train": {"seeds": [0]}}, {"fit.py": "new", "task.py": "def"}),
        training_key({"lr": 0.1, "train": {"seeds": [0]}}, {"fit.py": "abc"}),
    ]
    assert len({key, *others}) == 5


@pytest.mark.parametrize("damaged", ["last.ckpt", "best.ckpt"])
def test_a_damaged_checkpoint_is_named_and_not_continued(
    tmp_path: Path, damaged: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert checkpoint_to_continue(tmp_path) is None
    writer = WholeCheckpoints()
    for name in ("last.ckpt", "best.ckpt"):
        writer.save_checkpoint({"weight": torch.rand(1000)}, tmp_path / name)
    assert checkpoint_to_continue(tmp_path) == tmp_path / "last.ckpt"
    assert capsys.readouterr().err == ""
    content = bytearray((tmp_path / damaged).read_bytes())
    content[len(content) // 2] ^= 1
    for spoilt in (bytes(content), content[:500], b""):
        (tmp_path / damaged).write_bytes(spoilt)
        assert checkpoint_to_continue(tmp_path) is None
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith(f"warning: {tmp_path / damaged}: damaged (")


def test_a_training_whose_folder_has_moved_keeps_its_best_weights(tmp_path: Path) -> None:
    def best_in(folder: Path) -> MovableCheckpoint:
        return MovableCheckpoint(folder, filename="best", monitor="val_mean_iou", mode="max")

    before = best_in(tmp_path / "before")
    path = str(tmp_path / "before/best.ckpt")
    before.best_model_path = before.kth_best_model_path = path
    before.best_model_score = before.kth_value = torch.tensor(0.5)
    before.best_k_models = {path: torch.tensor(0.5)}
    (tmp_path / "before").mkdir()
    (tmp_path / "before/best.ckpt").touch()
    (tmp_path / "before").rename(tmp_path / "after")
    after = best_in(tmp_path / "after")
    after.load_state_dict(before.state_dict())
    assert after.best_model_path == after.kth_best_model_path == str(tmp_path / "after/best.ckpt")
    assert after.best_model_score == 0.5
    trainer: Any = SimpleNamespace(strategy=SimpleNamespace(reduce_boolean_decision=lambda decision: decision))
    assert not after.check_monitor_top_k(trainer, torch.tensor(0.4)), "a worse epoch would replace the best one"
    assert after.check_monitor_top_k(trainer, torch.tensor(0.6))
