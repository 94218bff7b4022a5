"""Work in threads on a stream of items, of which only a few are in memory at a time."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Condition
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


THREAD_LIMITS = ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS")
"""Variables that tell a process how many threads to use: torch reads the first, and numba the second."""


def num_cores() -> int:
    """Number of cores that this process may use: what the system grants, at most what THREAD_LIMITS say."""
    granted = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    limits = [int(text) for name in THREAD_LIMITS if (text := os.environ.get(name, "")).isdecimal()]
    return max(1, min([granted, *limits]))


def map_in_order(function: Callable[[Item], Result], items: Iterable[Item], *, workers: int) -> Iterator[Result]:
    """Like `map`, in threads: results in the items' order, at most workers + 1 items taken ahead of the consumer."""
    waiting: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) > workers + 1:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


class SharedMemory:
    """Memory that threads share: one waits while what it needs does not fit beside what others hold.

    A thread that needs more than all of it works alone.
    """

    def __init__(self, num_bytes: float) -> None:
        self._num_bytes = num_bytes
        self._held_bytes = 0
        self._changed = Condition()

    @contextmanager
    def holding(self, num_bytes: int) -> Iterator[None]:
        """Hold so much memory for the block."""
        with self._changed:
            self._changed.wait_for(lambda: not self._held_bytes or self._held_bytes + num_bytes <= self._num_bytes)
            self._held_bytes += num_bytes
        try:
            yield
        finally:
            with self._changed:
                self._held_bytes -= num_bytes
                self._changed.notify_all()


def available_memory_bytes() -> int:
    """The RAM that this process can still take without swapping, within its container's limit if there is one."""
    meminfo = Path("/proc/meminfo")
    if meminfo.exists():
        (kib,) = (
            int(line.split()[1])
            for line in meminfo.read_text(encoding="utf-8").splitlines()
            if line.startswith("MemAvailable:")
        )
        available = 1024 * kib
    else:
        available = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    left = left_of_container_bytes(Path("/sys/fs/cgroup"))
    return available if left is None else min(available, left)


def left_of_container_bytes(group: Path) -> int | None:
    """What a control group's memory.max and memory.current leave: None without such files or a limit."""
    try:
        most, held = ((group / f"memory.{name}").read_text(encoding="utf-8").strip() for name in ("max", "current"))
        return max(0, int(most) - int(held))
    except (OSError, ValueError):  # without a limit, memory.max is a word
        return None
