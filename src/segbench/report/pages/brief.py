"""The benchmark table in short, for a project's first page."""

import re
from collections.abc import Sequence

import pandas as pd

from segbench.errors import InputError
from segbench.report.pages.markdown import table
from segbench.report.table.numbers import percent, points


def brief_table(rows: pd.DataFrame) -> list[str]:
    """Markdown lines: each model as its paper reports it, best first; not what other programs predicted.

    rows: of the benchmark's CSV, an entry each.
    """
    crf = rows.pivot(index="model", columns="crf", values="mIoU")
    gains = crf["on"] - crf["off"]
    best_first = rows[rows["as_in_paper"] & rows["training_seconds"].notna()].sort_values("mIoU", ascending=False)
    return table(
        ["Model", "mIoU %", "95 % interval", "mDice %", "aAcc %", "CRF gains", "Latency (ms)", "Training (min)"],
        [
            [
                f"{row['model']} + CRF" if row["crf"] == "on" else row["model"],
                percent(row["mIoU"]),
                f"[{percent(row['mIoU_low'])}, {percent(row['mIoU_high'])}]",
                percent(row["mDice"]),
                percent(row["aAcc"]),
                points(gains[row["model"]]),
                f"{row['latency_ms']:.0f}",
                f"{row['training_seconds'] / 60:.1f}",
            ]
            for row in best_first.to_dict("records")
        ],
        left=1,
    )


def put_between(text: str, lines: Sequence[str], *, name: str) -> str:
    """The text with the lines between its marks `<!-- name -->` and `<!-- end of name -->`. InputError without them."""
    begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    marked = re.compile(f"({re.escape(begin)}\n).*?({re.escape(end)})", re.DOTALL)
    if not marked.search(text):
        raise InputError(f"the page has no lines {begin} and {end}; put them where the table should be")
    return marked.sub(lambda match: "\n".join([match[1], *lines, "", match[2]]), text)
