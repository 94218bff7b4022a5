"""Threads over a stream: in order, a few ahead, errors where they belong."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from segbench.parallel import SharedMemory, available_memory_bytes, left_of_container_bytes, map_in_order


def test_results_are_in_order_and_in_several_threads() -> None:
    meeting = threading.Barrier(3, timeout=10)

    def wait_for_two_others(item: int) -> int:
        meeting.wait()
        return item

    assert list(map_in_order(wait_for_two_others, range(9), workers=3)) == list(range(9))


def test_only_a_few_items_are_taken_ahead() -> None:
    taken = []

    def items() -> Iterator[int]:
        for item in range(1000):
            taken.append(item)
            yield item

    results = map_in_order(lambda item: item, items(), workers=2)
    for consumed, _ in enumerate(results, start=1):
        assert len(taken) <= consumed + 4


def test_an_error_reaches_the_consumer() -> None:
    results = map_in_order(lambda item: 1 // item, [1, 0, 1], workers=2)
    assert next(results) == 1
    with pytest.raises(ZeroDivisionError):
        next(results)


def most_at_once(memory: SharedMemory, needs: list[int]) -> int:
    """How many threads, of those that need so much memory, work at the same time at most."""
    working, most, lock = 0, 0, threading.Lock()

    def work(num_bytes: int) -> None:
        nonlocal working, most
        with memory.holding(num_bytes):
            with lock:
                working += 1
                most = max(most, working)
            threading.Event().wait(0.02)
            with lock:
                working -= 1

    list(map_in_order(work, needs, workers=4))
    return most


@pytest.mark.parametrize(("needs", "expected"), [([6] * 8, 1), ([5] * 8, 2), ([100] * 4, 1), ([0] * 8, 4)])
def test_threads_wait_for_memory_and_one_that_needs_more_than_all_works_alone(needs: list[int], expected: int) -> None:
    memory = SharedMemory(10)
    assert most_at_once(memory, needs) == expected
    assert most_at_once(memory, needs) == expected  # all was given back


def test_memory_is_given_back_after_an_error() -> None:
    memory = SharedMemory(10)
    with pytest.raises(ZeroDivisionError), memory.holding(10):
        1 // 0  # noqa: B018
    with memory.holding(10):
        pass


def test_a_container_leaves_what_its_limit_says(tmp_path: Path) -> None:
    assert left_of_container_bytes(tmp_path) is None
    (tmp_path / "memory.current").write_text("1000\n")
    (tmp_path / "memory.max").write_text("max\n")
    assert left_of_container_bytes(tmp_path) is None
    (tmp_path / "memory.max").write_text("5000\n")
    assert left_of_container_bytes(tmp_path) == 4000
    assert available_memory_bytes() > 1 << 20
