"""Where an interrupted training waits."""

from pathlib import Path

import pytest
import torch

from segbench.training.resume import WholeCheckpoints, training_key


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
