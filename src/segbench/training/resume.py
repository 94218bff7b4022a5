"""Checkpoints from which a killed training continues.

DVC deletes the declared outputs of a stage when it starts, so checkpoints lie in a folder that DVC does not know. The
folder's name is a hash of all that the training depends on: after a change of parameters, data or code, a training
starts anew.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO

from segbench.files import project_root, replacing


def training_key(settings: Mapping[str, Any], sources: Mapping[str, str]) -> str:
    """A hash of the settings and of the sources. settings: anything that JSON can hold; sources: digests by path."""
    content = json.dumps([settings, sources], sort_keys=True, default=str)
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def checkpoint_folder(key: str) -> Path:
    """The folder of a training's checkpoints and its MLflow run's id; removed when the stage ends."""
    return project_root() / "data" / "checkpoints" / key


class WholeCheckpoints(TorchCheckpointIO):
    """Writes a checkpoint whole or not at all: Lightning, killed while it writes, may leave half of one."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write the checkpoint to a temporary file, then move it to its path."""
        with replacing(Path(path)) as temporary:
            torch.save(checkpoint, temporary)
