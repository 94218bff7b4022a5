"""The one exception for a user's mistake."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

MOST_LISTED = 20


class InputError(ValueError):
    """A mistake in a file or value that the user gave.

    The message is one clear line: where, what, and what would be right. Stages print it without a traceback.
    """


@contextmanager
def about(path: Path) -> Iterator[None]:
    """Put a file's name before the message of an InputError in the block."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def raise_listed(mistakes: Sequence[str]) -> None:
    """Raise InputError with a line a mistake, the first of them and a count of the others; nothing if there is none."""
    if mistakes:
        more = [f"... and {len(mistakes) - MOST_LISTED} more"] if len(mistakes) > MOST_LISTED else []
        raise InputError("\n".join([*mistakes[:MOST_LISTED], *more]))
