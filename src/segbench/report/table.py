"""The benchmark table: a row a model and per CRF off and on. Fractions in CSV, per cent in Markdown."""

import csv
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from segbench.files import replacing

AS_IN_PAPER = " *"


@dataclass(frozen=True)
class BenchmarkRow:
    """A model's test scores and costs. Scores are fractions; latency includes the CRF where it is on.

    as_in_paper: DeepLab v1 and v2 are their network with the CRF behind it, the others the network alone.
    """

    model: str
    crf: str
    as_in_paper: bool
    aAcc: float  # noqa: N815  # the field's own spelling
    mAcc: float  # noqa: N815
    mIoU: float  # noqa: N815
    mDice: float  # noqa: N815
    num_classes_averaged: int
    parameters: int
    latency_ms: float
    training_seconds: float
    deviations: str


def write_csv(path: Path, rows: Sequence[BenchmarkRow]) -> None:
    """Full precision, for programs."""
    with replacing(path) as temporary, temporary.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(asdict(rows[0])), lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)


def markdown(
    rows: Sequence[BenchmarkRow], *, title: str, protocol: Sequence[tuple[str, Any]], notes: Sequence[str]
) -> str:
    """A page with the table, its protocol and its notes; the best of each score is bold."""
    header = [
        "Model", "CRF", "aAcc %", "mAcc %", "mIoU %", "mDice %", "Classes", "Parameters (M)", "Latency (ms)",
        "Training (s)",
    ]  # fmt: skip
    best = {name: max(getattr(row, name) for row in rows) for name in ("aAcc", "mAcc", "mIoU", "mDice")}

    def score(row: BenchmarkRow, name: str) -> str:
        value: float = getattr(row, name)
        return f"**{100 * value:.1f}**" if value == best[name] else f"{100 * value:.1f}"

    cells = [
        [
            row.model, f"{row.crf}{AS_IN_PAPER if row.as_in_paper else ''}", *(score(row, name) for name in best),
            str(row.num_classes_averaged), f"{row.parameters / 1e6:.2f}", f"{row.latency_ms:.1f}",
            f"{row.training_seconds:.0f}",
        ]
        for row in rows
    ]  # fmt: skip
    lines = [f"# {title}", "", *table(header, cells, left=2), ""]
    lines += [f"{AS_IN_PAPER.strip()} the model as its paper reports it: DeepLab v1 and v2 end with a CRF", ""]
    deviations = {row.model: row.deviations for row in rows if row.deviations}
    if deviations:
        lines += ["Deviations from the common protocol:", ""]
        lines += [f"- {model}: {text}" for model, text in deviations.items()] + [""]
    lines += [*notes, ""] if notes else []
    lines += ["## Protocol", "", *table(["what", "value"], [[name, str(value)] for name, value in protocol], left=2)]
    return "\n".join(lines) + "\n"


def table(header: Sequence[str], rows: Sequence[Sequence[str]], *, left: int) -> list[str]:
    """Markdown lines, also aligned for a terminal; the first `left` columns flush left."""
    widths = [max(len(cell) for cell in column) for column in zip(header, *rows, strict=True)]

    def line(cells: Sequence[str]) -> str:
        padded = [
            cell.ljust(width) if index < left else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ]
        return f"| {' | '.join(padded)} |"

    rule = ["-" * (width + 2) if index < left else "-" * (width + 1) + ":" for index, width in enumerate(widths)]
    return [line(header), f"|{'|'.join(rule)}|", *(line(row) for row in rows)]
