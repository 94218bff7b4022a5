"""Tables in Markdown."""

from collections.abc import Iterable, Sequence


def table(header: Sequence[str], rows: Iterable[Sequence[str]], *, left: int) -> list[str]:
    """Markdown lines, aligned so that they also read well in a terminal; the first `left` columns are flush left."""
    rows = list(rows)
    widths = [max(len(cell) for cell in column) for column in zip(header, *rows, strict=True)]

    def line(cells: Sequence[str]) -> str:
        padded = [
            cell.ljust(width) if index < left else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ]
        return f"| {' | '.join(padded)} |"

    rule = ["-" * (width + 2) if index < left else "-" * (width + 1) + ":" for index, width in enumerate(widths)]
    return [line(header), f"|{'|'.join(rule)}|", *(line(row) for row in rows)]


def named_values(entries: Iterable[tuple[str, str]]) -> list[str]:
    """Markdown lines for what is too long for a table's cells: one item per (name in the table, words)."""
    return [f"- {name}: {words}" for name, words in entries]
