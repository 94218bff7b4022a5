"""Positions of the marks in charts, in per cent of the plot's width and height, so that a chart fits any screen."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import floor, log, log10
from statistics import median

FAR = 3
"""A value is far below the best if it lies more than so many times as far below it as the median does,"""
NEAR = 0.05
"""and by more than this."""
MOST_TICKS = 8


@dataclass(frozen=True)
class Axis:
    """A range of values, and the ticks on it as (value, text)."""

    low: float
    high: float
    ticks: tuple[tuple[float, str], ...]
    is_log: bool = False

    def place(self, value: float) -> float:
        """0 at the low end, 100 at the high end."""
        low, high = self.low, self.high
        if self.is_log:
            low, high, value = log(low), log(high), log(value)
        return round(100 * (value - low) / (high - low), 2)

    def from_top(self, value: float) -> float:
        """0 at the high end, 100 at the low end: the position from the top on a vertical axis."""
        return round(100 - self.place(value), 2)


@dataclass(frozen=True)
class Point:
    """A score and the ends of its interval, in per cent from the top; above 100 if they are below the axis."""

    y: float
    y_low: float
    y_high: float

    @property
    def is_below(self) -> bool:
        """Whether the score is below the axis, so that its mark stands at the lower edge."""
        return self.y > 100


@dataclass(frozen=True)
class Line:
    """One model's values; `path`, `band` and `dots` in per cent from the left and from the top.

    band: around values of several trainings, from the lowest to the highest; empty with one. dots: without those that
    are outside the axes. numbers: all values as text. last, last_text: the value at the right end. end: its place in
    per cent from the left and from the top, outside 0..100 where it is outside the axes.
    """

    model: str
    crf: bool
    path: str
    band: str
    dots: tuple[tuple[float, float, str], ...]
    numbers: tuple[str, ...]
    last: float
    last_text: str
    end: tuple[float, float]


@dataclass(frozen=True)
class LineChart:
    """Lines over a common pair of axes."""

    x: Axis
    y: Axis
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class Series:
    """Values to draw as a line: (x, value), and (x, lowest, highest) over several trainings; none with one."""

    values: Sequence[tuple[float, float]]
    ends: Sequence[tuple[float, float, float]] = ()


def contenders(scores: Sequence[float]) -> list[bool]:
    """Which scores are not far below the best, so that an axis over them alone shows how the good ones differ.

    At least half of them, since the median is never far below. For losses, pass their negatives.
    """
    best = max(scores)
    least = best - max(NEAR, FAR * (best - median(scores)))
    return [score >= least for score in scores]


def fraction_axis(values: Sequence[float]) -> Axis:
    """Round ends around fractions, with ticks in per cent."""
    low, high = min(values), max(values)
    padding = 0.02 if low == high else 0
    ticks = _round_ticks(max(0.0, low - padding), min(1.0, high + padding))
    return Axis(ticks[0], ticks[-1], tuple((tick, f"{100 * tick:g}") for tick in ticks))


def loss_axis(values: Sequence[float]) -> Axis:
    """Round ends around losses."""
    low, high = min(values), max(values)
    padding = 0.02 if low == high else 0
    ticks = _round_ticks(low - padding, high + padding)
    return Axis(ticks[0], ticks[-1], tuple((tick, f"{tick:g}") for tick in ticks))


def _round_ticks(low: float, high: float) -> list[float]:
    from matplotlib.ticker import MaxNLocator

    found = MaxNLocator(nbins=6, steps=[1, 2, 5, 10]).tick_values(low, high)
    return [round(float(tick), 6) for tick in found]


def log_axis(values: Sequence[float]) -> Axis:
    """Some room around positive values, with ticks at round numbers: as many as a narrow screen has room for."""
    low, high = min(values) / 1.3, max(values) * 1.3
    powers = range(floor(log10(low)), floor(log10(high)) + 1)
    for factors in ((1, 2, 3, 4, 5, 6, 7, 8, 9), (1, 2, 5), (1,)):
        ticks = [factor * 10.0**power for power in powers for factor in factors if low <= factor * 10.0**power <= high]
        if len(ticks) <= MOST_TICKS:
            break
    return Axis(low, high, tuple((tick, f"{tick:g}") for tick in ticks), is_log=True)


def whole_axis(values: Sequence[float]) -> Axis:
    """From the least to the greatest of whole numbers, such as epochs."""
    from matplotlib.ticker import MaxNLocator

    low, high = min(values), max(values)
    if low == high:
        low, high = low - 1, high + 1
    found = MaxNLocator(nbins=8, integer=True).tick_values(low, high)
    return Axis(low, high, tuple((float(tick), f"{tick:g}") for tick in found if low <= tick <= high))


def width_axis(values: Sequence[float]) -> Axis:
    """A logarithmic axis with its ticks at the positive values themselves."""
    low, high = min(values), max(values)
    if low == high:
        low, high = low / 2, high * 2
    return Axis(low, high, tuple((value, f"{value:g}") for value in values), is_log=True)


def line(model: str, series: Series, *, crf: bool, x: Axis, y: Axis, unit: str, show: Callable[[float], str]) -> Line:
    """A line through values. unit: of x; show: a value as text."""
    placed = [(x.place(at), y.from_top(value)) for at, value in series.values]
    texts = [f"{show(value)} at {at:g} {unit}" for at, value in series.values]
    band = [(x.place(at), y.from_top(high)) for at, _, high in series.ends]
    band += [(x.place(at), y.from_top(low)) for at, low, _ in reversed(series.ends)]
    last = series.values[-1][1]
    return Line(
        model=model,
        crf=crf,
        path=_path(placed),
        band=_path(band),
        dots=tuple((left, top, text) for (left, top), text in zip(placed, texts, strict=True) if 0 <= top <= 100),
        numbers=tuple(texts),
        last=last,
        last_text=show(last),
        end=placed[-1],
    )


def staircase(points: Sequence[tuple[float, float]]) -> str:
    """The steps through points sorted from the left: level until the next point, then up to it."""
    corners: list[tuple[float, float]] = []
    for left, top in points:
        if corners:
            corners.append((left, corners[-1][1]))
        corners.append((left, top))
    return _path(corners)


def _path(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{left:g},{top:g}" for left, top in points)
