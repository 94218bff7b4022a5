"""Checkpoints from which a killed training continues.

DVC deletes the declared outputs of a stage when it starts, so checkpoints lie in a folder that DVC does not know. The
folder's name is a hash of all that the training depends on: after a change of parameters, data or code, a training
starts anew.
"""

import hashlib
import json
import sys
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.plugins.io import TorchCheckpointIO

from segbench.files import damage_of, flush_to_disk, project_root, replacing

LAST, BEST = "last", "best"
"""Names of the checkpoints in a training's folder."""


def training_key(settings: Mapping[str, Any], sources: Mapping[str, str]) -> str:
    """A hash of the settings and of the sources. settings: anything that JSON can hold; sources: digests by path."""
    content = json.dumps([settings, sources], sort_keys=True, default=str)
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def checkpoint_folder(key: str) -> Path:
    """The folder of a training's checkpoints and its MLflow run's id; removed when the stage ends."""
    return project_root() / "data" / "checkpoints" / key


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


def hold(keys: Iterable[str]) -> ExitStack:
    """Wait until no other process does a training of these keys, and keep others waiting until the result is closed.

    Two processes would write into the same folder, as workers of `dvc queue` may that have the same training to do.
    """
    held = ExitStack()
    for key in sorted(keys):  # in one order for all, so that no two wait for each other
        path = project_root() / "data" / "locks" / f"{key}.lock"
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            print(
                f"waiting for another process, which does the same training: {checkpoint_folder(key)}", file=sys.stderr
            )
            lock.acquire()
        held.callback(lock.release)
    return held


class WholeCheckpoints(TorchCheckpointIO):
    """Writes a checkpoint whole or not at all: Lightning, killed while it writes, may leave half of one."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write the checkpoint to a temporary file, then move it to its path."""
        with replacing(Path(path)) as temporary:
            torch.save(checkpoint, temporary)
            flush_to_disk(temporary)
