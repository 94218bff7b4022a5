"""Numbers as a person reads them."""

from math import nan

import pytest

from segbench.report.table.numbers import MISSING, duration, percent, percent_range, points, points_range, probability


@pytest.mark.parametrize(("value", "text"), [(0.5, "50.0"), (0.99949, "99.9"), (None, MISSING), (nan, MISSING)])
def test_percent(value: float | None, text: str) -> None:
    assert percent(value) == text


@pytest.mark.parametrize(
    ("difference", "text"),
    [(0.012, "+1.2"), (-0.2, "-20.0"), (-0.0001, "0.0"), (-0.0, "0.0"), (0.0006, "+0.1"), (nan, MISSING)],
)
def test_points(difference: float, text: str) -> None:
    assert points(difference) == text


@pytest.mark.parametrize(("value", "text"), [(1.0, "1.000"), (0.0499, "0.050"), (0.001, "0.001"), (0.0004, "< 0.001")])
def test_probability_is_never_shown_as_zero(value: float, text: str) -> None:
    assert probability(value) == text


def test_ranges_have_both_bounds() -> None:
    assert percent_range(0.534, 0.626) == f"53.4{MISSING}62.6"
    assert points_range(-0.002, 0.014) == "[-0.2, +1.4]"


@pytest.mark.parametrize(("seconds", "text"), [(119, "119 s"), (120, "2 min"), (7199, "120 min"), (7200, "2.0 h")])
def test_a_duration_has_the_unit_that_reads_best(seconds: float, text: str) -> None:
    assert duration(seconds) == text
