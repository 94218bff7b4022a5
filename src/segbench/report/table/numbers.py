"""Numbers as a person reads them."""

from math import isfinite
from typing import Any

MISSING = "\N{EN DASH}"


def finite(value: float | None) -> float | None:
    """The value, or None for what is not known: None, NaN or infinite."""
    return float(value) if value is not None and isfinite(value) else None


def counted(number: int, thing: str) -> str:
    """`1 image` or `2 images`."""
    return f"{number} {thing}{'' if number == 1 else 's'}"


def percent(value: float | None) -> str:
    """A fraction in per cent with one decimal."""
    value = finite(value)
    return MISSING if value is None else f"{100 * value:.1f}"


def percent_range(low: float, high: float) -> str:
    """The bounds of an interval of fractions, in per cent."""
    return f"{percent(low)}\N{EN DASH}{percent(high)}"


def points(difference: float | None) -> str:
    """A difference of fractions in points of per cent, with its sign; what rounds to zero has none."""
    difference = finite(difference)
    if difference is None:
        return MISSING
    rounded = round(100 * difference, 1)
    return f"{rounded:+.1f}" if rounded else "0.0"


def points_range(low: float, high: float) -> str:
    """The bounds of an interval of differences, in points of per cent: `[-0.2, +1.4]`."""
    return f"[{points(low)}, {points(high)}]"


def probability(value: float) -> str:
    """A p value with three decimals; below what they can show, as less than that."""
    return f"{value:.3f}" if value >= 0.001 else "< 0.001"


def setting(value: Any) -> str:
    """A value of params.yaml: numbers without trailing zeros, weights by name as a sum, a search by its size."""
    match value:
        case {"candidates": candidates}:
            return f"of {len(candidates)} candidates"
        case dict():
            return " + ".join(f"{weight:g} {name}" for name, weight in value.items())
        case float():
            return f"{value:g}"
    return str(value)


def duration(seconds: float) -> str:
    """In seconds, minutes or hours, whichever reads best."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
