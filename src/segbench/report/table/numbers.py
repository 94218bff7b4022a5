"""Numbers as a person reads them."""

from math import isfinite

MISSING = "\N{EN DASH}"


def finite(value: float | None) -> float | None:
    """The value, or None for what is not known: None, NaN or infinite."""
    return float(value) if value is not None and isfinite(value) else None


def percent(value: float | None) -> str:
    """A fraction in per cent with one decimal."""
    value = finite(value)
    return MISSING if value is None else f"{100 * value:.1f}"


def points(difference: float | None) -> str:
    """A difference of fractions in points of per cent, with its sign: -0.0 is a little below zero."""
    difference = finite(difference)
    return MISSING if difference is None else f"{100 * difference + 0.0:+.1f}"


def probability(value: float) -> str:
    """A p value with three decimals; below what they can show, as less than that."""
    return f"{value:.3f}" if value >= 0.001 else "< 0.001"
