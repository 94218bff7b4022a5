"""Checkpoints from which a killed training continues: written whole, found again, and of the same training."""

import hashlib
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.plugins.io import TorchCheckpointIO

from segbench.checkpoints import BEST, LAST
from segbench.files import damage_of
from segbench.models.weights import save_whole


def training_key(settings: Mapping[str, Any], sources: Mapping[str, str]) -> str:
    """A hash of the settings and of the sources. settings: anything that JSON can hold; sources: digests by path."""
    content = json.dumps([settings, sources], sort_keys=True, default=str)
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def checkpoint_to_continue(folder: Path) -> Path | None:
    """The last checkpoint of a killed training, None if there is none.

    If it or the best one is damaged, None too, so that the training begins anew, with a warning that names the file.
    """
    for path in (folder / f"{BEST}.ckpt", folder / f"{LAST}.ckpt"):
        if path.exists() and (damage := damage_of(path)):
            print(f"warning: {path}: damaged ({damage}), so this training begins anew", file=sys.stderr)
            return None
    return path if path.exists() else None


class MovableCheckpoint(ModelCheckpoint):
    """Knows its best score again after its folder has moved, which Lightning forgets for a folder of another name."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """The state, with paths in the folder where it is now."""

        def moved(path: str) -> str:
            return str(Path(self.dirpath or "") / Path(path).name) if path else path

        paths = ("best_model_path", "kth_best_model_path", "last_model_path")
        scores = {moved(path): score for path, score in state_dict["best_k_models"].items()}
        now = {**{name: moved(state_dict[name]) for name in paths}, "dirpath": self.dirpath, "best_k_models": scores}
        super().load_state_dict({**state_dict, **now})


class WholeCheckpoints(TorchCheckpointIO):
    """Writes a checkpoint whole or not at all: Lightning, killed while it writes, may leave half of one."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write the checkpoint to a temporary file, then move it to its path."""
        save_whole(checkpoint, Path(path))
