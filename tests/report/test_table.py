"""The benchmark table: fractions in CSV, per cent in Markdown."""

import csv
from dataclasses import replace
from pathlib import Path

from segbench.report.table import BenchmarkRow, markdown, write_csv

GOOD = BenchmarkRow(
    model="good", crf="off", as_in_paper=True, aAcc=0.912345, mAcc=0.8, mIoU=0.7, mDice=0.75, num_classes_averaged=9,
    parameters=5_430_000, latency_ms=12.34, training_seconds=105.4, deviations="",
)  # fmt: skip
BETTER = replace(GOOD, model="better", aAcc=0.95, mAcc=0.7, deviations="lr 0.1")


def test_csv_keeps_every_digit_of_the_fractions(tmp_path: Path) -> None:
    write_csv(tmp_path / "table.csv", [GOOD, BETTER])
    with (tmp_path / "table.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert rows[0]["aAcc"] == "0.912345"
    assert [row["model"] for row in rows] == ["good", "better"]


def test_markdown_shows_per_cent_and_the_best_in_bold() -> None:
    lines = markdown([GOOD, BETTER], title="Title", protocol=[("seed", 0)], notes=["- a note"]).splitlines()
    assert lines[0] == "# Title"
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:6]]
    assert cells[1][:3] == ["-" * len(cells[1][0]), cells[1][1], cells[1][2]]
    assert [cell.endswith(":") for cell in cells[1]] == [False, False] + [True] * 8
    assert cells[2] == ["good", "off *", "91.2", "**80.0**", "**70.0**", "**75.0**", "9", "5.43", "12.3", "105"]
    assert cells[3][2:4] == ["**95.0**", "70.0"]
    assert len({len(line) for line in lines[2:6]}) == 1
    assert "- better: lr 0.1" in lines
    assert "- a note" in lines
    assert lines[-1].startswith("| seed | 0")
