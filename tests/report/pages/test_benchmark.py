"""The benchmark table: fractions in CSV, per cent in Markdown and LaTeX."""

import csv
import re
from dataclasses import replace
from pathlib import Path

import pytest

from segbench.report.pages.benchmark import latex, markdown, write_csv, write_differences
from segbench.report.table.content import Difference, Estimate, Page
from segbench.report.table.numbers import percent
from tests.report.sample_pages import a_page, some_classes

CRF_GAIN = Difference(
    "good + CRF", "good", Estimate(0.012, 0.003, 0.021), Estimate(0.012, -0.004, 0.028), adjusted_p_value=0.21
)


@pytest.fixture
def page() -> Page:
    """Two models with the CRF off and on, the best first, and predictions from elsewhere."""
    made = a_page(
        models=("good", "poor_one"), classes=some_classes(3), num_images=2, height_px=16, width_px=24, external="theirs"
    )
    return replace(made, differences=(CRF_GAIN,))


def cells(line: str, sign: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").removesuffix(r"\\").split(sign)]


def read(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


def test_csv_keeps_every_digit_of_the_fractions(page: Page, tmp_path: Path) -> None:
    first = replace(page.entries[0], mean_iou=Estimate(0.912345678, 0.9, 0.92), seed_spread=0.0123)
    write_csv(tmp_path / "table.csv", replace(page, entries=(first, *page.entries[1:])))
    rows = read(tmp_path / "table.csv")
    assert [(row["model"], row["crf"]) for row in rows] == [
        ("good", "on"), ("good", "off"), ("poor_one", "on"), ("poor_one", "off"), ("theirs", "off"),
    ]  # fmt: skip
    assert (rows[0]["mIoU"], rows[0]["mIoU_low"], rows[0]["mIoU_high"]) == ("0.912345678", "0.9", "0.92")
    assert (rows[0]["mIoU_seed_spread"], rows[1]["mIoU_seed_spread"]) == ("0.0123", "")
    assert float(rows[0]["mIoU_country"]) == page.entries[0].group_mean_iou[1]
    assert float(rows[1]["mIoU_within_2_px"]) == page.entries[1].boundary_mean_iou[1]
    assert float(rows[0]["IoU_class 2"]) == page.entries[0].class_iou[2]
    assert rows[4]["parameters"] == rows[4]["latency_ms"] == ""
    assert float(rows[0]["latency_ms"]) == 26.0


def test_differences_have_both_intervals(tmp_path: Path) -> None:
    write_differences(tmp_path / "differences.csv", [CRF_GAIN])
    (row,) = read(tmp_path / "differences.csv")
    assert (row["first"], row["second"], row["difference"]) == ("good + CRF", "good", "0.012")
    assert (row["difference_low"], row["simultaneous_low"], row["adjusted_p_value"]) == ("0.003", "-0.004", "0.21")


def test_markdown_shows_per_cent_and_the_best_in_bold(page: Page) -> None:
    lines = markdown(page).splitlines()
    assert lines[0] == "# Benchmark on streets"
    start = next(number for number, line in enumerate(lines) if line.startswith("| Model"))
    table = [cells(line, "|") for line in lines[start : start + 7]]
    names = table[0]
    best = dict(zip(names, table[2], strict=True))
    assert (best["Model"], best["CRF"], best["mIoU %"]) == ("good", "on", "**88.0**")
    assert best["mIoU interval"] == "[86.8, 89.1]"
    second = dict(zip(names, table[3], strict=True))
    assert (second["mIoU %"], second["Rank"], second["Parameters (M)"]) == ("86.0", "2 (1-2)", "2.00")
    assert dict(zip(names, table[6], strict=True))["Parameters (M)"] == "\N{EN DASH}"
    assert len({len(line) for line in lines[start : start + 7]}) == 1


def test_markdown_tells_gains_of_the_crf_with_and_without_correction(page: Page) -> None:
    lines = markdown(page).splitlines()
    (row,) = [cells(line, "|") for line in lines if "[+0.3, +2.1]" in line]
    assert row == ["good", "+1.2 [+0.3, +2.1]", "+1.2 [-0.4, +2.8]", "0.210"]


def test_markdown_tells_the_parameters_of_the_crf(page: Page) -> None:
    note, _, header, _, good, poor = section(page, "What the CRF buys")[-6:]
    assert note == "Chosen on validation images."
    assert cells(header, "|") == ["Model", "gain, points", "steps"]
    assert [cells(line, "|") for line in (good, poor)] == [["good", "+1.5", "5"], ["poor_one", "+1.5", "5"]]


def test_markdown_has_groups_boundaries_and_published_figures(page: Page) -> None:
    text = markdown(page)
    assert "town (seen) %" in text and "country (unseen) %" in text
    assert re.search(r"\| good +\| on +\| +91\.0 \| +85\.0 \|", text)
    assert "## Near boundaries" in text and "2 px %" in text
    assert re.search(r"\| good +\| 89\.2 +\| PASCAL VOC 2012 test", text)


def test_a_page_of_one_group_says_nothing_of_groups(page: Page) -> None:
    assert "## By group" not in markdown(replace(page, groups=()))


def section(page: Page, title: str) -> list[str]:
    return markdown(page).partition(f"## {title}\n")[2].partition("\n## ")[0].strip().splitlines()


def test_markdown_has_a_line_for_each_entrys_classes(page: Page) -> None:
    _, _, header, _, *lines = section(page, "By class")
    assert cells(header, "|") == ["Model", "CRF", *page.classes.names]
    assert [cells(line, "|")[0] for line in lines] == [entry.model for entry in page.entries]
    assert cells(lines[0], "|")[2:] == [percent(iou) for iou in page.entries[0].class_iou]


def test_markdown_names_seed_spread_where_there_is_one(page: Page) -> None:
    first = replace(page.entries[0], seed_spread=0.0123)
    *_, line = section(replace(page, entries=(first, *page.entries[1:])), "Seeds")
    assert cells(line, "|")[::3] == ["good", "1.2"]
    assert "## Seeds" not in markdown(page)


def test_markdown_ends_with_limits_and_protocol(page: Page) -> None:
    assert section(replace(page, limits=("one backbone",)), "What limits the comparison") == ["- one backbone"]
    assert "limits" not in markdown(replace(page, limits=()))


def test_latex_escapes_names_and_has_as_many_cells_as_columns(page: Page) -> None:
    lines = latex(page).splitlines()
    rows = [cells(line, " & ") for line in lines if line.endswith(r"\\")]
    columns = re.search(r"\\begin\{tabular\}\{(\w+)\}", latex(page))
    assert columns and {len(row) for row in rows} == {len(columns.group(1))}
    assert [row[0] for row in rows[1:]] == ["good", "good", r"poor\_one", r"poor\_one", "theirs"]
    assert rows[1][rows[0].index(r"mIoU \%")] == r"\textbf{88.0}"
    assert rows[5][-1] == "--"


def test_latex_says_what_a_paper_must_say(page: Page) -> None:
    protocol = (("backbone", "net_18, weights own"), ("seeds", "0"), ("versions", "python 3"))
    (caption,) = (line for line in latex(replace(page, protocol=protocol)).splitlines() if "caption" in line)
    assert r"Backbone: net\_18, weights own. Seeds: 0. Deviations: " in caption
    assert "python" not in caption
