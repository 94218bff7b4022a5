"""The positions of marks in charts, by hand: which scores an axis covers, its ticks, and what lies outside it."""

import pytest

from segbench.report.drawing.charts import (
    MOST_TICKS,
    Axis,
    Series,
    contenders,
    fraction_axis,
    line,
    log_axis,
    loss_axis,
    staircase,
)

EVEN = [0.9, 0.8, 0.7, 0.6, 0.5]


@pytest.mark.parametrize(
    ("scores", "far_below"),
    [
        (EVEN, []),
        ([*EVEN, 0.2], []),  # the median is 0.65: from 0.15 on
        ([0.9, 0.88, 0.86, 0.84, 0.83, 0.5, 0.2], [0.5, 0.2]),  # the median is 0.84: from 0.72 on
        ([0.2, 0.86, 0.9, 0.84, 0.88], [0.2]),  # in any order
        ([0.5, 0.5, 0.5, 0.46, 0.44], [0.44]),  # no difference is too small to show: 5 points always are in
        ([0.9, 0.1], []),  # two are half each
        ([0.7], []),
        ([-0.5, -0.6, -0.7, -3.0], [-3.0]),  # losses
    ],
)
def test_an_axis_covers_what_is_not_far_below_the_best(scores: list[float], far_below: list[float]) -> None:
    near = contenders(scores)
    assert [score for score, is_near in zip(scores, near, strict=True) if not is_near] == far_below
    assert 2 * sum(near) >= len(scores)


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        ([2.2, 3.6], ["2", "3", "4"]),
        ([5, 40], ["5", "10", "20", "50"]),
        ([0.02, 4000], ["0.1", "1", "10", "100", "1000"]),
    ],
)
def test_a_logarithmic_axis_has_round_ticks_with_room_between_them(values: list[float], texts: list[str]) -> None:
    axis = log_axis(values)
    assert [text for _, text in axis.ticks] == texts
    assert len(texts) <= MOST_TICKS
    assert all(0 < axis.place(value) < 100 for value in values)


def test_axes_of_one_value_have_a_length() -> None:
    assert fraction_axis([0.5]).low < 0.5 < fraction_axis([0.5]).high
    assert loss_axis([0.0]).low < 0 < loss_axis([0.0]).high
    assert [text for _, text in loss_axis([0.21, 0.98]).ticks] == ["0.2", "0.4", "0.6", "0.8", "1"]


def test_a_line_knows_what_is_outside_the_axes() -> None:
    x, y = Axis(1, 3, ()), Axis(0.5, 0.6, ())
    series = Series([(1, 0.4), (2, 0.55), (3, 0.45)], ends=[(1, 0.3, 0.5), (2, 0.5, 0.6), (3, 0.4, 0.5)])
    found = line("unet", series, crf=False, x=x, y=y, unit="epochs", show=lambda value: f"{value:.2f}")
    assert found.path == "0,200 50,50 100,150"
    assert found.band == "0,100 50,0 100,100 100,200 50,100 0,300"
    assert found.dots == ((50, 50, "0.55 at 2 epochs"),)
    assert found.numbers == ("0.40 at 1 epochs", "0.55 at 2 epochs", "0.45 at 3 epochs")
    assert (found.last, found.last_text, found.end) == (0.45, "0.45", (100, 150))


def test_a_staircase_is_level_until_the_next_point() -> None:
    assert staircase([(10, 80), (30, 50), (60, 20)]) == "10,80 30,80 30,50 60,50 60,20"
    assert staircase([]) == ""
