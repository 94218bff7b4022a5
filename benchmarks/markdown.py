"""What the benchmarks print: Markdown."""

from collections.abc import Iterable, Sequence


def print_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table with its columns aligned: the first at the left, the others at the right."""
    lines = [header, *rows]
    widths = [max(3, *(len(line[column]) for line in lines)) for column in range(len(header))]
    rule = [f":{'-' * (width - 1)}" if column == 0 else f"{'-' * (width - 1)}:" for column, width in enumerate(widths)]
    for line in (lines[0], rule, *lines[1:]):
        first, *others = zip(line, widths, strict=True)
        cells = [first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)]
        print(f"| {' | '.join(cells)} |")


def print_limits(rows: Iterable[tuple[str, float, float]]) -> None:
    """Print a table of what was measured, how much, and the most that it may be."""
    print_table(
        ["what", "measured", "limit", ""],
        [[what, f"{found:.2f}", f"{limit:.2f}", "" if found <= limit else "TOO MUCH"] for what, found, limit in rows],
    )
