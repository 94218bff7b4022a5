"""Threads over a stream: in order, a few ahead, errors where they belong."""

import threading
from collections.abc import Iterator

import pytest

from segbench.parallel import map_in_order


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
