"""The exception for a user's mistake in a file or value, and how mistakes are listed."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

MOST_LISTED = 20


class InputError(ValueError):
    """A mistake in a file or value that the user gave.

    The message says where, what is wrong and what would be right, one line per mistake. Stages print it without a
    traceback.
    """


@contextmanager
def about(path: Path) -> Iterator[None]:
    """Put a file's name before the message of any InputError that the block raises."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def raise_listed(mistakes: Sequence[str]) -> None:
    """Raise one InputError that lists the first MOST_LISTED mistakes, one per line. Without mistakes, do nothing."""
    if mistakes:
        more = [f"... and {len(mistakes) - MOST_LISTED} more"] if len(mistakes) > MOST_LISTED else []
        raise InputError("\n".join([*mistakes[:MOST_LISTED], *more]))
