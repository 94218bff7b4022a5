"""The results in short, for a project's first page."""

import re
from collections.abc import Sequence
from typing import cast

import pandas as pd

from segbench.errors import InputError
from segbench.report.pages.markdown import table
from segbench.report.pages.overview import DatasetReport
from segbench.report.table.columns import Record, columns_for, latency_conditions

MOST_ROWS = 6


def brief_answers(report: DatasetReport) -> list[str]:
    """Markdown lines: a reader's questions and their answers."""
    return [line for answer in report.answers for line in (f"**{answer.question}** {answer.text}", "")]


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


def put_between(text: str, lines: Sequence[str], *, name: str) -> str:
    """The text with the lines between its marks `<!-- name -->` and `<!-- end of name -->`. InputError without them."""
    begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    marked = re.compile(f"({re.escape(begin)}\n).*?({re.escape(end)})", re.DOTALL)
    if not marked.search(text):
        raise InputError(f"the page has no lines {begin} and {end}; put them where the table should be")
    return marked.sub(lambda match: "\n".join([match[1], *lines, "", match[2]]), text)
