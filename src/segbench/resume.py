"""Where an interrupted training waits for the next try.

A declared output is deleted by DVC when its stage starts, so checkpoints lie in a folder that DVC does not know. Its
name is a hash of all that the training depends on: after a change of parameters, data or code, it is not found.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

from segbench.files import project_root


def training_key(settings: dict[str, Any]) -> str:
    """A hash of the settings and of this package's code. settings: anything that JSON can hold."""
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode())
    for path in sorted(Path(__file__).parent.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def checkpoint_folder(key: str) -> Path:
    """The folder of a training's checkpoints and its tracking run; removed when the training has ended."""
    return project_root() / "data" / "checkpoints" / key
