"""The folders of trainings: checkpoints from which a killed one continues, and what a finished one has left.

DVC deletes the declared outputs of a stage when it starts, so these folders lie where DVC does not look. A folder's
name is the training's key, a hash of all that the training depends on: after a change of parameters, data or code, a
training starts anew. What a finished training has left stays until the dataset's table is made. By then DVC has its own
copy, which it does not have when the stage ends: a kill in the seconds between would cost the training.
"""

import shutil
import sys
from collections.abc import Iterable
from contextlib import ExitStack, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from segbench.errors import InputError
from segbench.files import project_root, read_json

LAST, BEST = "last", "best"
"""Names of the checkpoints in a training's folder."""
WEIGHTS, RECORD = "weights.pt", "training.json"
"""What a finished training leaves there."""


def checkpoint_folder(key: str) -> Path:
    """The folder of a training's checkpoints, of its MLflow run's id, and at last of its weights and record."""
    return _folders() / key


def hold(keys: Iterable[str]) -> ExitStack:
    """Wait until no other process does a training of these keys, and keep others waiting until the result is closed.

    Two processes would write into the same folder, as workers of `dvc queue` may that have the same training to do.
    """
    held = ExitStack()
    for key in sorted(keys):  # in one order for all, so that no two wait for each other
        lock = _lock(key)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            print(
                f"waiting for another process, which does the same training: {checkpoint_folder(key)}", file=sys.stderr
            )
            lock.acquire()
        held.callback(lock.release)
    return held


def remove_checkpoints(key: str) -> None:
    """Of a finished training, keep its weights and record alone."""
    for name in (LAST, BEST):
        (checkpoint_folder(key) / f"{name}.ckpt").unlink(missing_ok=True)


def remove_finished(dataset: str) -> None:
    """Remove the folders of a dataset's finished trainings, but of those at which another process is."""
    for record in _folders().glob(f"*/{RECORD}"):
        try:
            is_of_dataset = read_json(record).get("dataset") == dataset
        except InputError:  # damaged: the training that needs it says so
            continue
        if is_of_dataset:
            remove_folders([record.parent.name])


def remove_folders(keys: Iterable[str]) -> None:
    """Remove the folders of trainings whose results are in place, but of those at which another process is."""
    for key in keys:
        folder = checkpoint_folder(key)
        if not folder.exists():
            continue
        with suppress(Timeout), _lock(key).acquire(timeout=0):
            shutil.rmtree(folder)


def _folders() -> Path:
    return project_root() / "data" / "checkpoints"


def _lock(key: str) -> FileLock:
    path = project_root() / "data" / "locks" / f"{key}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    return FileLock(path)
