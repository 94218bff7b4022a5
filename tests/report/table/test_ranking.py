"""Sets of entries that cannot be told apart: by hand, and on random tables of differences."""

from itertools import combinations

import numpy as np
import pytest

from segbench.report.table.comparison import MEAN_IOU
from segbench.report.table.ranking import indistinguishable
from segbench.scoring.intervals import Difference, Interval, Pair

NOTHING = Interval(0.0, -1.0, 1.0)


def differences(alike: list[str], labels: str) -> dict[Pair, Difference]:
    """Of all pairs of labels, each one letter; those of `alike`, such as `ab`, are not significant."""
    return {
        Pair(first, second, MEAN_IOU): Difference(NOTHING, NOTHING, 0.05 if first + second in alike else 0.049)
        for first, second in combinations(labels, 2)
    }


@pytest.mark.parametrize(
    ("alike", "expected"),
    [
        ([], []),
        (["ab", "ac", "ad", "bc", "bd", "cd"], ["abcd"]),
        (["ab", "bc", "cd"], ["ab", "bc", "cd"]),
        (["ab", "ac", "bc", "cd"], ["abc", "cd"]),
        (["ac", "cd"], ["ac", "cd"]),  # b is between a and c, and differs from both
        (["ab", "cd"], ["ab", "cd"]),
    ],
)
def test_sets_are_as_large_as_they_can_be(alike: list[str], expected: list[str]) -> None:
    assert ["".join(found) for found in indistinguishable("abcd", differences(alike, "abcd"))] == expected


def test_pairs_of_other_entries_and_unknown_ones_join_nothing() -> None:
    known = {
        pair: difference
        for pair, difference in differences(["ab", "ac", "bc"], "abc").items()
        if (pair.first, pair.second) != ("a", "c")
    }
    assert indistinguishable("abc", known) == [("a", "b"), ("b", "c")]
    assert indistinguishable("ac", known) == []


@pytest.mark.parametrize("seed", range(20))
def test_a_common_set_means_no_sure_difference_and_no_common_set_a_sure_one(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = "abcdefgh"
    pairs = ["".join(pair) for pair in combinations(labels, 2)]
    alike = [pair for pair in pairs if rng.uniform() < 0.6]
    found = indistinguishable(labels, differences(alike, labels))
    in_common = {first + second for chosen in found for first, second in combinations(chosen, 2)}
    assert in_common == set(alike)
    assert not any(set(one) < set(other) for one in found for other in found)
