"""The results table: fractions in CSV, per cent in Markdown and LaTeX."""

import csv
import re
from dataclasses import replace
from pathlib import Path

import pytest

from segbench.files import write_csv
from segbench.report.pages.benchmark import (
    benchmark_latex,
    benchmark_markdown,
    benchmark_table,
    differences_table,
)
from segbench.report.table.comparison import MEAN_IOU
from segbench.report.table.content import Page
from segbench.report.table.numbers import MISSING, percent
from segbench.scoring.intervals import Difference, Interval, Pair
from tests.report.sample_pages import a_page, some_classes

CRF_GAIN = {
    Pair("good + CRF", "good", MEAN_IOU): Difference(
        Interval(0.012, 0.003, 0.021), Interval(0.012, -0.004, 0.028), adjusted_p_value=0.21
    )
}


@pytest.fixture
def page() -> Page:
    """Two models with the CRF off and on, the best first, and predictions from elsewhere."""
    made = a_page(
        models=("good", "poor_one"), classes=some_classes(3), num_images=2, height_px=16, width_px=24, external="theirs"
    )
    return replace(made, differences=CRF_GAIN)


def cells(line: str, sign: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").removesuffix(r"\\").split(sign)]


def read(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


def test_csv_keeps_every_digit_of_the_fractions(page: Page, tmp_path: Path) -> None:
    best = page.entries[0]
    first = replace(best, scores={**best.scores, "mIoU": Interval(0.912345678, 0.9, 0.92)}, seed_spread=0.0123)
    page = replace(page, entries=(first, *page.entries[1:]))
    write_csv(tmp_path / "table.csv", benchmark_table(page))
    rows = read(tmp_path / "table.csv")
    assert [(row["model"], row["crf"]) for row in rows] == [
        ("good", "on"), ("good", "off"), ("poor_one", "on"), ("poor_one", "off"), ("theirs", "off"),
    ]  # fmt: skip
    assert (rows[0]["mIoU"], rows[0]["mIoU_low"], rows[0]["mIoU_high"]) == ("0.912345678", "0.9", "0.92")
    assert (rows[0]["mIoU_seed_spread"], rows[1]["mIoU_seed_spread"]) == ("0.0123", "")
    assert float(rows[0]["mIoU_group_country"]) == page.entries[0].group_mean_iou[1]
    assert float(rows[1]["mIoU_within_2_px"]) == page.entries[1].boundary_mean_iou[1]
    assert float(rows[0]["IoU_class 2"]) == page.entries[0].class_iou[2]
    assert (rows[0]["parameters"], rows[0]["latency_ms"], rows[0]["rank"]) == ("1000000", "26.0", "1")
    assert rows[4]["parameters"] == rows[4]["latency_ms"] == ""
    conditions = ("latency_device", "latency_cores", "latency_input_px")
    assert [rows[0][name] for name in conditions] == ["a processor", "2", "128x96"]
    assert (rows[1]["latency_low_ms"], rows[1]["latency_high_ms"]) == ("6.9", "7.5")


def test_differences_have_both_intervals(page: Page, tmp_path: Path) -> None:
    write_csv(tmp_path / "differences.csv", differences_table(page))
    (row,) = read(tmp_path / "differences.csv")
    assert (row["first"], row["second"], row["difference"]) == ("good + CRF", "good", "0.012")
    assert (row["difference_low"], row["simultaneous_low"], row["adjusted_p_value"]) == ("0.003", "-0.004", "0.21")


def test_markdown_shows_per_cent_and_the_best_in_bold(page: Page) -> None:
    lines = benchmark_markdown(page).splitlines()
    assert lines[0] == "# Benchmark on streets"
    start = next(number for number, line in enumerate(lines) if line.startswith("| Model"))
    names, _, best, second, *_, theirs = [cells(line, "|") for line in lines[start : start + 7]]
    first = dict(zip(names, best, strict=True))
    assert (first["Model"], first["As published"], first["mIoU %"]) == ("good + CRF", "", "**88.0**")
    assert first["95 % interval"] == f"86.8{MISSING}89.1"
    other = dict(zip(names, second, strict=True))
    assert (other["mIoU %"], other["As published"], other["Parameters (M)"]) == ("86.0", "yes", "2.00")
    assert other["Rank"] == f"2 (1{MISSING}2)"
    assert dict(zip(names, theirs, strict=True))["Parameters (M)"] == MISSING
    assert len({len(line) for line in lines[start : start + 7]}) == 1


def test_markdown_tells_what_latencies_were_measured_on_and_their_intervals(page: Page) -> None:
    text = benchmark_markdown(page)
    assert "- Latency on a processor, 2 cores, network input 128x96 px.\n" in text
    assert f"6.9{MISSING}7.5" in text


def test_gains_of_the_crf_have_the_interval_that_allows_for_all_comparisons(page: Page) -> None:
    lines = benchmark_markdown(page).splitlines()
    (row,) = [cells(line, "|") for line in lines if "0.210" in line]
    assert row == ["good", "+1.2", "[-0.4, +2.8]", "0.210"]


def test_markdown_tells_the_parameters_of_the_crf(page: Page) -> None:
    note, _, header, _, good, poor = section(page, "Gains of the CRF")[-6:]
    assert note == "Chosen on validation images."
    assert cells(header, "|") == ["Model", "gain, points", "steps"]
    assert [cells(line, "|") for line in (good, poor)] == [["good", "+1.5", "5"], ["poor_one", "+1.5", "5"]]


def test_markdown_has_groups_and_boundaries(page: Page) -> None:
    text = benchmark_markdown(page)
    assert "town (1 seen)" in text and "country (1 unseen)" in text
    assert re.search(r"\| good \+ CRF +\| +91\.0 \| +85\.0 \|", text)
    assert "## Near boundaries" in text and "2 px" in text


def test_a_page_of_one_group_says_nothing_of_groups(page: Page) -> None:
    assert "## By group" not in benchmark_markdown(replace(page, groups=()))


def test_markdown_has_the_best_entrys_classes_in_each_group(page: Page) -> None:
    lines = section(page, "By group")
    about, _, header, _, *rows = lines[-(len(page.classes) + 4) :]
    good = page.entries[1]
    assert about == "They need not average. IoU of good in per cent; groups.csv has all models:"
    assert cells(header, "|") == ["Class", "town", "country", "all"]
    for index, row in enumerate(rows):
        town, country = (of_group[index] for of_group in good.group_class_iou)
        assert cells(row, "|") == [page.classes.names[index], *map(percent, (town, country, good.class_iou[index]))]


def section(page: Page, title: str) -> list[str]:
    return benchmark_markdown(page).partition(f"## {title}\n")[2].partition("\n## ")[0].strip().splitlines()


def test_markdown_has_a_line_for_each_entrys_classes(page: Page) -> None:
    _, _, header, _, *lines = section(page, "By class")
    assert cells(header, "|") == ["Model", *page.classes.names]
    assert [cells(line, "|")[0] for line in lines] == [entry.label for entry in page.entries]
    assert cells(lines[0], "|")[1:] == [percent(iou) for iou in page.entries[0].class_iou]


def test_markdown_ends_with_limits_and_protocol(page: Page) -> None:
    assert section(replace(page, limits=("one backbone",)), "What limits the comparison") == ["- one backbone"]
    assert "limits" not in benchmark_markdown(replace(page, limits=()))


def test_latex_escapes_names_and_has_as_many_cells_as_columns(page: Page) -> None:
    lines = benchmark_latex(page).splitlines()
    rows = [cells(line, " & ") for line in lines if line.endswith(r"\\")]
    columns = re.search(r"\\begin\{tabular\}\{(\w+)\}", benchmark_latex(page))
    assert columns and {len(row) for row in rows} == {len(columns.group(1))}
    assert [row[0] for row in rows[1:]] == [
        "good + CRF", "good", r"poor\_one + CRF", r"poor\_one", "theirs",
    ]  # fmt: skip
    assert rows[1][rows[0].index(r"mIoU \%")] == r"\textbf{88.0}"
    assert rows[5][-1] == "--"


def test_latex_says_what_a_paper_must_say(page: Page) -> None:
    protocol = {"backbone": "net_18, weights own", "seeds": "0", "versions": "python 3"}
    (caption,) = (line for line in benchmark_latex(replace(page, protocol=protocol)).splitlines() if "caption" in line)
    assert r"Streets of blocks. Each model was trained once. Backbone: net\_18, weights own. Seeds: 0. Late" in caption
    assert "Latency on a processor, 2 cores, " in caption and "network input 128x96 px. Deviations: " in caption
    assert "python" not in caption


def caption(page: Page) -> str:
    (line,) = (line for line in benchmark_latex(page).splitlines() if "caption" in line)
    return line


def test_a_paper_learns_of_deviations_and_of_other_programs(page: Page) -> None:
    assert caption(page).endswith("Deviations: good backbone none.}")
    alike = replace(page, entries=tuple(replace(entry, deviations=()) for entry in page.entries))
    assert caption(alike).endswith("Deviations: none.}")
    known = "only the label maps are known of theirs"
    assert f"Other programs: {known}." in caption(replace(page, protocol={"other programs": known}))
    assert "Other programs" not in caption(page)


def test_gains_of_the_crf_are_not_scores_with_it(page: Page) -> None:
    about, _, header, *_ = section(page, "Gains of the CRF")
    assert about.startswith("The mIoU with the CRF minus that without it, on the test images.")
    assert cells(header, "|")[1] == "gain of mIoU, points"


def test_a_failed_model_is_last_in_every_format_without_scores(page: Page) -> None:
    failed = replace(page, failed={"broken_net": "diverged in epoch 3"})
    last = benchmark_table(failed).iloc[-1].dropna()
    assert dict(last) == {"model": "broken_net", "crf": "off", "as_in_paper": True, "failure": "diverged in epoch 3"}
    (line,) = [line for line in benchmark_markdown(failed).splitlines() if "broken_net" in line]
    name, _, *others = cells(line, "|")
    assert name == "broken_net (diverged in epoch 3)" and set(others) == {MISSING}
    (line,) = [line for line in benchmark_latex(failed).splitlines() if "broken" in line]
    assert line.startswith(r"broken\_net (diverged in epoch 3) & -- & ")
