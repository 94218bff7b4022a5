"""The list of columns: one entry in it reaches all five formats."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from segbench.files import write_csv
from segbench.report.pages.benchmark import benchmark_latex, benchmark_markdown, benchmark_table
from segbench.report.pages.brief import brief_table
from segbench.report.pages.page import page_html
from segbench.report.table import columns
from segbench.report.table.columns import ALL, COLUMNS, Column, records
from segbench.report.table.content import Group, Page
from segbench.report.table.numbers import MISSING
from tests.report.sample_pages import a_page, some_classes


@pytest.fixture
def page() -> Page:
    return a_page(models=("good", "poor"), classes=some_classes(3), num_images=2, height_px=16, width_px=24)


def from_csv(page: Page, folder: Path) -> pd.DataFrame:
    write_csv(folder / "benchmark.csv", benchmark_table(page))
    return pd.read_csv(folder / "benchmark.csv")


def test_one_more_column_appears_in_all_formats(page: Page, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    letters = Column(
        "letters", lambda entry: len(entry.model), "Letters", unit="in 1", explanation="of the model's name",
        readers=ALL, show=lambda number: f"has {number:.0f}",
    )  # fmt: skip
    monkeypatch.setattr(columns, "COLUMNS", (*COLUMNS, letters))
    results = from_csv(page, tmp_path)
    assert results["letters"].tolist() == [4, 4, 4, 4]
    for text in (page_html(page), benchmark_markdown(page), benchmark_latex(page), "\n".join(brief_table(results))):
        assert "has 4" in text
    for text in (benchmark_markdown(page), benchmark_latex(page), "\n".join(brief_table(results))):
        assert "Letters (in 1)" in text
    assert "Letters<small> in 1</small>" in page_html(page)
    assert "- Letters: of the model's name" in benchmark_markdown(page)


def test_every_column_has_a_name_of_its_own(page: Page) -> None:
    page = replace(page, groups=tuple(Group(name, num_images=1, is_seen=True) for name in ("low", "within_2_px")))
    record = records(page)[0]
    entry = page.entries[0]
    assert record["mIoU_low"] == entry.mean_iou.low
    assert record["mIoU_within_2_px"] == entry.boundary_mean_iou[1]
    assert (record["mIoU_group_low"], record["mIoU_group_within_2_px"]) == entry.group_mean_iou
    assert len({column.key for column in COLUMNS}) == len(COLUMNS)


def test_a_value_reads_the_same_from_the_file(page: Page, tmp_path: Path) -> None:
    from_file = from_csv(page, tmp_path).to_dict("records")
    for record, read in zip(records(page), from_file, strict=True):
        for column in COLUMNS:
            assert column.text(record) == column.text({str(key): value for key, value in read.items()}), column.key


def test_what_is_not_known_is_a_dash_and_comes_last(page: Page) -> None:
    (latency,) = (column for column in COLUMNS if column.key == "latency_ms")
    for record in ({"latency_ms": None}, {"latency_ms": float("nan")}, {}):
        assert latency.text(record) == MISSING
        assert latency.order(record) is None


def test_a_column_without_values_is_not_shown(page: Page) -> None:
    assert "Seed spread" not in page_html(page) and "Seed spread" not in benchmark_markdown(page)
    first, *others = page.entries
    page = replace(page, entries=(replace(first, seed_spread=0.0123), *others))
    assert "Seed spread" in page_html(page) and "| 1.2" in benchmark_markdown(page).replace("  ", "")
