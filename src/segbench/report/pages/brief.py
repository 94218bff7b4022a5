"""The results in short, for a project's first page."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import pandas as pd

from segbench.errors import InputError
from segbench.files import read_csv
from segbench.report.pages.answer import TRUST
from segbench.report.pages.markdown import table
from segbench.report.pages.overview import DatasetReport
from segbench.report.table.columns import Record, columns_for, latency_conditions
from segbench.report.table.comparison import MEAN_IOU
from segbench.report.table.content import SIGNIFICANT
from segbench.report.table.numbers import percent, points, points_range
from segbench.scoring.intervals import Pair

MOST_ROWS = 6
ASKED_FOR = ("unet", "fcn_8s")
"""Two models that people often ask about: the first page says whether one is better."""


def brief(folder: Path) -> list[str]:
    """Markdown lines: what limits the comparison, a reader's questions with their answers, and the best models.

    folder: a dataset's reports. InputError if a file is missing or has another form.
    """
    report = DatasetReport.read(folder)
    answers = [*brief_answers(report), *brief_pair(report, *ASKED_FOR)]
    rows = brief_table(read_csv(folder / "benchmark.csv"))
    return [*brief_warnings(report), *answers, "", *rows, *brief_machines(report)]


def brief_warnings(report: DatasetReport) -> list[str]:
    """A Markdown quote of what a reader must know before the answers; nothing if nothing limits them."""
    return [f"> **Before you trust the order:** {' '.join(report.cautions)}", ""] if report.cautions else []


def brief_answers(report: DatasetReport) -> list[str]:
    """Markdown lines: one item per question but the one that the warnings answer."""
    return [f"- **{answer.question}** {answer.text}" for answer in report.answers if answer.question != TRUST]


def brief_pair(report: DatasetReport, first: str, second: str) -> list[str]:
    """One Markdown line on whether the first model is better than the second, as published; none without both."""
    entries = report.published
    if not {first, second} <= entries.keys():
        return []
    one, other = entries[first], entries[second]
    known = report.differences.get(Pair(one.label, other.label, MEAN_IOU))
    turned = report.differences.get(Pair(other.label, one.label, MEAN_IOU))
    if known:
        value, low, high = known.alone.value, known.simultaneous.low, known.simultaneous.high
    elif turned:
        value, low, high = -turned.alone.value, -turned.simultaneous.high, -turned.simultaneous.low
    else:
        return []
    found = known or turned
    assert found is not None
    is_sure = found.adjusted_p_value < SIGNIFICANT
    verdict = ("Yes." if value > 0 else f"No, {second} is.") if is_sure else "These test images cannot tell."
    return [
        f"- **Is {first} better than {second}?** {verdict} {one.label} has {percent(one.mean_iou.value)} %, "
        f"{other.label} {percent(other.mean_iou.value)} %; the difference is {points(value)} points, with an interval "
        f"of {points_range(low, high)} that allows for all pairs of models."
    ]


def brief_table(results: pd.DataFrame) -> list[str]:
    """Markdown lines: the best MOST_ROWS models as published, failed ones last; no predictions of other programs.

    results: benchmark.csv.
    """
    has_failed = results["failure"].notna() if "failure" in results else False
    is_shown = results["as_in_paper"] & (results["parameters"].notna() | has_failed)
    best_first = results[is_shown].sort_values("mIoU", ascending=False)
    rows = cast(list[Record], best_first.head(MOST_ROWS).to_dict("records"))
    columns = columns_for("readme", rows)
    lines = table([column.heading for column in columns], [[c.text(row) for c in columns] for row in rows], left=1)
    conditions = latency_conditions(rows)
    return [*lines, "", conditions] if conditions else lines


def brief_machines(report: DatasetReport) -> list[str]:
    """Markdown lines on whose costs do not compare; none if all models ran on one machine."""
    return [line for told in report.costs for line in ("", f"{told[0].upper()}{told[1:]}")]


def put_between(text: str, lines: Sequence[str], *, name: str) -> str:
    """The text with the lines between its marks `<!-- name -->` and `<!-- end of name -->`. InputError without them."""
    begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    marked = re.compile(f"({re.escape(begin)}\n).*?({re.escape(end)})", re.DOTALL)
    if not marked.search(text):
        raise InputError(f"the page has no lines {begin} and {end}; put them where the table should be")
    return marked.sub(lambda match: "\n".join([match[1], *lines, "", match[2]]), text)
