"""Mends what DVC leaves when it is killed while it writes a dvc.lock or .dvc/tmp/rwlock, which it does in place.

By a dvc.lock that is cut short, or empty, DVC would make anew what stages have made: a copy is put back. In the rwlock,
DVC notes which process reads and writes what. With one that is cut short it does nothing at all, and neither with one
that names a process which was killed, once another process has its number, as PID 1 always has when a container ends:
an empty one is put in its place. `make reproduce` does both, and so does `python -m pipeline.mend`.
"""

import json
import os
import re
import time
from collections.abc import Callable
from pathlib import Path

import yaml

from segbench.errors import InputError
from segbench.files import replacing

LOCK = Path("dvc.lock")
LOCKS = (LOCK, Path("src/dvc.lock"))
"""Beside each dvc.yaml."""
COPIES = Path(".dvc/tmp/locks")
RWLOCK = Path(".dvc/tmp/rwlock")
RESTORE = "python -m pipeline.mend"
WRITING_S = 30.0
"""Longer than DVC takes to write a lock."""


def keep() -> None:
    """Copy whole locks, as a stage starts. InputError for one that is cut short, before DVC writes a new one."""
    for path in filter(Path.exists, LOCKS):
        text = _settled(path, is_whole)
        if is_whole(text):
            with replacing(COPIES / path) as temporary:
                temporary.write_text(text, encoding="utf-8")
        elif (COPIES / path).exists():
            raise InputError(
                f"{path} is cut short: dvc was killed while it wrote the file; `{RESTORE}` puts the former one back"
            )


def restore() -> list[Path]:
    """Put copies in the place of locks that are cut short, and tell which were."""
    kept = [path for path in LOCKS if path.exists() and (COPIES / path).exists()]
    cut = [path for path in kept if not is_whole(_settled(path, is_whole))]
    for path in cut:
        with replacing(path) as temporary:
            temporary.write_text((COPIES / path).read_text(encoding="utf-8"), encoding="utf-8")
    return cut


def restore_rwlock() -> str:
    """Put an empty rwlock in the place of one by which DVC would do nothing, and tell what was wrong with it."""
    if not RWLOCK.exists():
        return ""
    text = _settled(RWLOCK, _is_json)
    if not _is_json(text):
        wrong = "was cut short, since dvc was killed while it wrote the file"
    elif (noted := {int(number) for number in re.findall(r'"pid": (\d+)', text)}) and not any(map(_may_be_dvc, noted)):
        wrong = "named a dvc that was killed"
    else:
        return ""
    with replacing(RWLOCK) as temporary:
        temporary.write_text("{}", encoding="utf-8")
    return wrong


def _may_be_dvc(process: int) -> bool:
    """Whether a process works in the project, other than this one and those that it was started by."""
    import psutil  # stages, which start with a lock's copy, have no use for it

    if process in {os.getpid(), *(ancestor.pid for ancestor in psutil.Process().parents())}:
        return False
    try:
        return Path(psutil.Process(process).cwd()).is_relative_to(Path.cwd())
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:  # another user's
        return True


def _settled(path: Path, is_whole: Callable[[str], bool]) -> str:
    """A file's text, once no other dvc can be in the middle of writing it."""
    while not is_whole(text := path.read_text(encoding="utf-8")) and time.time() - path.stat().st_mtime < WRITING_S:
        time.sleep(0.2)
    return text


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def is_whole(text: str) -> bool:
    """Whether a lock's text has its end: that of the last stage's outputs. A cut exactly behind an output looks so too.

    Only that stage is parsed, which takes milliseconds. A lock with mistakes in its middle, such as the marks of a
    merge, is left for DVC to tell of.
    """
    starts = [found.start() for found in re.finditer(r"^  \S", text, re.MULTILINE)]
    if not (starts and text.endswith("\n")):
        return False
    try:
        stage = next(iter(yaml.safe_load(text[starts[-1] :]).values()))
        return {"path", "md5", "size"} <= stage["outs"][-1].keys()
    except (yaml.YAMLError, AttributeError, KeyError, TypeError):
        return False


def mend() -> list[str]:
    """Put both files right if need be: one line for each that was not."""
    found = [
        f"{path} was cut short, since dvc was killed while it wrote the file; its former content is back."
        for path in restore()
    ]
    if wrong := restore_rwlock():
        found.append(f"{RWLOCK} {wrong}; it is empty again.")
    return found
