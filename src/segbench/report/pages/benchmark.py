"""The results table for Markdown and LaTeX, in per cent, and for programs, as fractions."""

from collections.abc import Callable, Sequence

import pandas as pd

from segbench.report.pages.markdown import table
from segbench.report.table.columns import (
    FAILURE,
    MODEL,
    Column,
    Record,
    best_scores,
    boundary_columns,
    class_columns,
    columns_for,
    group_columns,
    is_known,
    latency_conditions,
    records,
)
from segbench.report.table.content import Page
from segbench.report.table.numbers import percent, points, points_range, probability
from segbench.scoring.intervals import Difference

CAPTIONED = (
    "intervals", "network input", "prediction", "backbone", "schedule", "backbone's lr", "seeds", "trained at commit",
    "machine", "other programs",
)  # fmt: skip
"""The part of the protocol that a paper's table must state."""


def benchmark_table(page: Page) -> pd.DataFrame:
    """One row per entry with every column, in fractions and with every digit."""
    return pd.DataFrame(records(page), dtype=object)


def differences_table(page: Page) -> pd.DataFrame:
    """One row per pair: the first's mIoU minus the second's, as a fraction, its intervals and adjusted p values."""
    return pd.DataFrame([
        {
            "first": pair.first,
            "second": pair.second,
            "difference": difference.alone.value,
            "difference_low": difference.alone.low,
            "difference_high": difference.alone.high,
            "simultaneous_low": difference.simultaneous.low,
            "simultaneous_high": difference.simultaneous.high,
            "adjusted_p_value": difference.adjusted_p_value,
            "adjusted_p_value_with_longer_blocks": _p_value(page.differences_with_longer_blocks.get(pair)),
        }
        for pair, difference in page.differences.items()
    ])  # fmt: skip


def _p_value(difference: Difference | None) -> float | None:
    return difference.adjusted_p_value if difference else None


def benchmark_markdown(page: Page) -> str:
    """The table and its notes, differences and details, limits and protocol. The best of each score is bold."""
    rows = records(page)
    columns = columns_for("markdown", rows)
    cells = _cells(columns, rows, bold=lambda text: f"**{text}**")
    lines = [f"# Benchmark on {page.dataset}", "", page.description, ""]
    lines += [line for answer in page.answers for line in (f"**{answer.question}** {answer.text}", "")]
    lines += [page.champion, ""] if page.champion else []
    lines += table([column.heading for column in columns], cells, left=1)
    lines += ["", *(f"- {column.title}: {column.explanation}" for column in columns if column.explanation)]
    lines += [*(f"- {note}" for note in (*page.notes, page.trainings, latency_conditions(rows)) if note), ""]
    if deviations := _deviations(page):
        lines += ["Deviations from the common protocol:", ""]
        lines += [*(f"- {model}: {', '.join(texts)}" for model, texts in deviations.items()), ""]
    lines += _gains_of_crf(page)
    lines += _details("By class", "IoU in per cent.", class_columns(page), rows)
    about = "mIoU of each group's test images, in per cent. Seen: training images come from the group too."
    lines += _details("By group", about, group_columns(page), rows)
    lines += _classes_of_groups(page)
    about = "mIoU, in per cent, of the pixels within this distance of a boundary between two classes (trimap)."
    lines += _details("Near boundaries", about, boundary_columns(page), rows)
    if page.limits:
        lines += ["## What limits the comparison", "", *(f"- {text}" for text in page.limits), ""]
    lines += ["## Protocol", "", *table(["what", "value"], list(page.protocol.items()), left=2)]
    return "\n".join(lines) + "\n"


def benchmark_latex(page: Page) -> str:
    """The table for a paper, with the booktabs package. The best of each score is bold."""
    rows = records(page)
    columns = columns_for("latex", rows)
    cells = _cells(columns, rows, bold=lambda text: rf"\textbf{{{text}}}", escape=_escaped)
    protocol = " ".join(f"{what.capitalize()}: {page.protocol[what]}." for what in CAPTIONED if what in page.protocol)
    deviations = "; ".join(f"{model} {', '.join(texts)}" for model, texts in _deviations(page).items()) or "none"
    caption = _escaped(
        f"{page.description} {page.trainings} {protocol} {latency_conditions(rows)} Deviations: {deviations}."
    )
    lines = [
        r"\begin{table}",
        rf"\caption{{{caption}}}",
        rf"\begin{{tabular}}{{{''.join('l' if column.kind == 'text' else 'r' for column in columns)}}}",
        r"\toprule",
        " & ".join(_escaped(column.heading) for column in columns) + r" \\",
        r"\midrule",
        *(" & ".join(row) + r" \\" for row in cells),
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _cells(
    columns: Sequence[Column], rows: Sequence[Record], *, bold: Callable[[str], str], escape: Callable[[str], str] = str
) -> list[list[str]]:
    """The texts, the best of each score in bold."""
    best = best_scores(rows)

    def cell(column: Column, record: Record) -> str:
        text = escape(column.text(record))
        return bold(text) if column.key in best and record[column.key] == best[column.key] else text

    return [[cell(column, record) for column in columns] for record in rows]


def _escaped(text: str) -> str:
    """Plain text for LaTeX."""
    special = {sign: rf"\{sign}" for sign in "&%$#_{}"}
    special |= {"~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "\N{EN DASH}": "--", "\\": "/"}
    return "".join(special.get(sign, sign) for sign in text)


def _deviations(page: Page) -> dict[str, tuple[str, ...]]:
    """By model, in which it differs from the common protocol."""
    return {entry.model: entry.deviations for entry in page.entries if entry.deviations}


def _details(title: str, about: str, columns: Sequence[Column], rows: Sequence[Record]) -> list[str]:
    """A section with a table of its own; nothing without columns."""
    rows = [record for record in rows if not is_known(record[FAILURE])]
    columns = [column for column in columns if any(is_known(record[column.key]) for record in rows)]
    if not columns:
        return []
    columns = [MODEL, *columns]
    cells = [[column.text(record) for column in columns] for record in rows]
    return [f"## {title}", "", about, "", *table([column.heading for column in columns], cells, left=1), ""]


def _classes_of_groups(page: Page) -> list[str]:
    """The best entry's IoU of each class in each group; groups.csv has those of all entries."""
    best = page.best_as_published
    if not page.groups or not best.group_class_iou:
        return []
    header = ["Class", *(group.name for group in page.groups), "all"]
    rows = [
        [name, *map(percent, [*ious, best.class_iou[index]])]
        for index, (name, *ious) in enumerate(zip(page.classes.names, *best.group_class_iou, strict=True))
    ]
    about = f"{page.groups_note} IoU of {best.label} in per cent; groups.csv has all models:"
    return [about.strip(), "", *table(header, rows, left=1), ""]


def _gains_of_crf(page: Page) -> list[str]:
    """How much the CRF changes the scores on test images, and the parameters that were chosen for it."""
    if not page.crf_differences:
        return []
    rows = [
        [
            model, points(found.simultaneous.value), points_range(found.simultaneous.low, found.simultaneous.high),
            probability(found.adjusted_p_value),
        ]
        for model, found in page.crf_differences.items()
    ]  # fmt: skip
    header = ["Model", "gain of mIoU, points", "95 % interval", "adjusted p"]
    about = (
        "The mIoU with the CRF minus that without it, on the test images. Intervals and p allow for all comparisons "
        "of this page; differences.csv also has the interval of each comparison alone."
    )
    lines = ["## Gains of the CRF", "", about, "", *table(header, rows, left=1), ""]
    if page.crf_choices:
        heading, *choices = page.crf_choices
        lines += [page.crf_choices_note, "", *table(heading, choices, left=1), ""]
    return lines
