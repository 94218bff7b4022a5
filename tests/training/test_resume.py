"""Where an interrupted training waits."""

from pathlib import Path

import pytest
import torch

from segbench.training.resume import WholeCheckpoints


def test_a_kill_while_a_checkpoint_is_written_leaves_the_one_before(tmp_path: Path) -> None:
    class Unwritable:
        def __reduce__(self) -> str:
            raise KeyboardInterrupt

    writer = WholeCheckpoints()
    writer.save_checkpoint({"epoch": 1}, tmp_path / "last.ckpt")
    with pytest.raises(KeyboardInterrupt):
        writer.save_checkpoint({"epoch": 2, "state": [torch.rand(1000), Unwritable()]}, str(tmp_path / "last.ckpt"))
    assert writer.load_checkpoint(tmp_path / "last.ckpt") == {"epoch": 1}
