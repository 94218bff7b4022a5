"""Positions of the marks in charts, in per cent of the plot's width and height, so that a chart fits any screen."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import floor, log, log10


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
    """A mark and the ends of its interval, in per cent from the left and from the top."""

    x: float
    y: float
    y_low: float
    y_high: float


@dataclass(frozen=True)
class Line:
    """One model's values; `path` and `dots` in per cent from the left and from the top."""

    model: str
    crf: bool
    path: str
    dots: tuple[tuple[float, float, str], ...]
    last: float
    """The value at the right end."""


@dataclass(frozen=True)
class LineChart:
    """Lines over a common pair of axes."""

    x: Axis
    y: Axis
    lines: tuple[Line, ...]

    @property
    def legend(self) -> tuple[Line, ...]:
        """One line per model: without the CRF if there are two."""
        chosen: dict[str, Line] = {}
        for drawn in self.lines:
            if drawn.model not in chosen or not drawn.crf:
                chosen[drawn.model] = drawn
        return tuple(chosen.values())


def fraction_axis(values: Sequence[float]) -> Axis:
    """Round ends around fractions, with ticks in per cent."""
    from matplotlib.ticker import MaxNLocator

    low, high = min(values), max(values)
    padding = 0.02 if low == high else 0
    found = MaxNLocator(nbins=6, steps=[1, 2, 5, 10]).tick_values(max(0.0, low - padding), min(1.0, high + padding))
    ticks = [round(float(tick), 6) for tick in found]
    return Axis(ticks[0], ticks[-1], tuple((tick, f"{100 * tick:g}") for tick in ticks))


def log_axis(values: Sequence[float]) -> Axis:
    """Some room around positive values, with ticks at 1, 2 and 5 times powers of ten."""
    low, high = min(values) / 1.3, max(values) * 1.3
    powers = range(floor(log10(low)), floor(log10(high)) + 1)
    ticks = [factor * 10.0**power for power in powers for factor in (1, 2, 5) if low <= factor * 10.0**power <= high]
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


def line(model: str, values: Sequence[tuple[float, float]], *, crf: bool, x: Axis, y: Axis, unit: str) -> Line:
    """A line through (x, fraction) values. unit: of x, for the tooltip of each dot."""
    placed = [(x.place(at), y.from_top(value)) for at, value in values]
    return Line(
        model=model,
        crf=crf,
        path=" ".join(f"{left:g},{top:g}" for left, top in placed),
        dots=tuple(
            (left, top, f"{100 * value:.1f} % at {at:g} {unit}")
            for (left, top), (at, value) in zip(placed, values, strict=True)
        ),
        last=values[-1][1],
    )


def staircase(points: Sequence[tuple[float, float]]) -> str:
    """The steps through points sorted from the left: level until the next point, then up to it."""
    corners: list[tuple[float, float]] = []
    for left, top in points:
        if corners:
            corners.append((left, corners[-1][1]))
        corners.append((left, top))
    return " ".join(f"{left:g},{top:g}" for left, top in corners)
