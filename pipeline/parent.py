"""A stage ends with the dvc that started it: otherwise it would write its outputs under the hands of the next dvc."""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from multiprocessing import parent_process
from pathlib import Path
from types import FrameType

SHELLS = {"bash", "dash", "fish", "ksh", "sh", "zsh"}
"""DVC runs commands in one, and it may stay between dvc and the stage."""
EVERY_S = 1.0
PATIENCE_S = 10.0


def end_with_parent() -> None:
    """End this process by SIGTERM, with an exit code that is not 0, and when what started it has ended.

    A stage that is not started by DVC may outlive its parent, as users may mean it to.
    """
    signal.signal(signal.SIGTERM, _leave)
    if "DVC_STAGE" not in os.environ:
        return
    asked = parent_process()  # for a fork; the system's parent of that is a fork server
    end_of_parent = asked.join if asked else partial(_watch, ANCESTORS)
    threading.Thread(target=_end_after, args=(end_of_parent,), daemon=True).start()


def _leave(number: int, frame: FrameType | None) -> None:
    sys.exit(128 + number)  # Lightning would end the training with exit code 0


def _watch(links: list[tuple[int, int]]) -> None:
    while all(_parent_of(child) == parent for child, parent in links):
        time.sleep(EVERY_S)


def _end_after(end_of_parent: Callable[[], None]) -> None:
    end_of_parent()
    os.kill(os.getpid(), signal.SIGTERM)  # so that files are left whole and the MLflow run ends
    time.sleep(PATIENCE_S)
    os._exit(128 + signal.SIGTERM)


def _ancestors() -> list[tuple[int, int]]:
    """(process, parent) from this process up through shells to what runs them."""
    links = [(os.getpid(), os.getppid())]
    while _status(links[-1][1]).get("Name") in SHELLS:
        links.append((links[-1][1], _parent_of(links[-1][1])))
    return links


def _parent_of(process: int) -> int:
    """0 for a process that has ended."""
    return os.getppid() if process == os.getpid() else int(_status(process).get("PPid", 0))


def _status(process: int) -> dict[str, str]:
    """What Linux says of a process; nothing elsewhere, where this process's own parent alone is watched."""
    try:
        lines = Path(f"/proc/{process}/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return {}
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


ANCESTORS = _ancestors()
"""Taken down before a stage's own imports: dvc may be killed in these seconds, and another process be the parent then.
"""
