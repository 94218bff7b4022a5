"""README's answers and table, which show what the report in git holds."""

from dataclasses import replace

import pandas as pd
import pytest

from segbench.errors import InputError
from segbench.report.pages.brief import brief, brief_pair, brief_table, put_between
from segbench.report.pages.overview import DatasetReport, cautions
from segbench.report.table.comparison import MEAN_IOU
from segbench.report.table.numbers import MISSING
from segbench.scoring.intervals import Difference, Interval, Pair
from tests.parameters import PROJECT
from tests.report.sample_pages import an_entry

ROW = {
    "mIoU_low": 0.4, "mIoU_high": 0.6, "mDice": 0.7, "aAcc": 0.9, "mIoU_crf_gain": 0.05, "parameters": 1e6,
    "latency_ms": 12.4, "training_seconds": 900,
}  # fmt: skip
ROWS = pd.DataFrame([
    {"model": "plain", "crf": "off", "as_in_paper": True, "mIoU": 0.5, **ROW},
    {"model": "plain", "crf": "on", "as_in_paper": False, "mIoU": 0.49, **ROW},
    {"model": "with_crf", "crf": "off", "as_in_paper": False, "mIoU": 0.5, **ROW},
    {"model": "with_crf", "crf": "on", "as_in_paper": True, "mIoU": 0.55, **ROW},
    {"model": "theirs", "crf": "off", "as_in_paper": True, "mIoU": 0.8, **ROW, "parameters": float("nan")},
])  # fmt: skip


def test_each_model_is_there_once_as_its_paper_reports_it() -> None:
    header, _, *lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in brief_table(ROWS)]
    assert header == [
        "Model", "mIoU %", "95 % interval", "mDice %", "aAcc %", "CRF gains", "Latency (ms)", "Training time",
    ]  # fmt: skip
    assert lines == [
        ["with_crf + CRF", "55.0", f"40.0{MISSING}60.0", "70.0", "90.0", "+5.0", "12.4", "15 min"],
        ["plain", "50.0", f"40.0{MISSING}60.0", "70.0", "90.0", "+5.0", "12.4", "15 min"],
    ]


def test_the_table_says_what_its_latencies_were_measured_on() -> None:
    measured = ROWS.assign(latency_device="a processor", latency_cores=2.0, latency_input_px="8x6")
    assert brief_table(measured)[-2:] == ["", "Latency on a processor, 2 cores, network input 8x6 px."]
    on_one_core = measured.assign(latency_cores=1.0)
    assert brief_table(on_one_core)[-2:] == ["", "Latency on a processor, 1 core, network input 8x6 px."]


def test_the_table_takes_the_place_of_the_former_one() -> None:
    text = "before\n<!-- street -->\n\nold\n\n<!-- end of street -->\nafter\n"
    once = put_between(text, ["| a |", "| b |"], name="street")
    assert once == "before\n<!-- street -->\n\n| a |\n| b |\n\n<!-- end of street -->\nafter\n"
    assert put_between(once, ["| a |", "| b |"], name="street") == once


def test_a_page_without_a_place_is_refused() -> None:
    with pytest.raises(InputError, match="no lines <!-- street -->"):
        put_between("text", [], name="street")


def test_the_readmes_table_is_that_of_the_report() -> None:
    readme = (PROJECT / "README.md").read_text()
    reports = PROJECT / "reports/camvid"
    assert put_between(readme, brief(reports), name="camvid") == readme


def test_readme_has_warnings_and_five_answers_before_a_short_table() -> None:
    warnings, _, *answers = brief(PROJECT / "reports/camvid")[:8]
    assert warnings.startswith(
        "> **Before you trust the order:** 62 of 233 test images come from groups, such as videos"
    )
    assert [line.split("**")[1] for line in answers if line] == [
        "Which model is the most accurate?", "Which of these costs least?", "Which one if time per image matters?",
        "Is the CRF worth its time?", "Is unet better than fcn_8s?",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("line", "is_warning"),
    [
        ("- Each model was trained once, so how much scores differ between trainings is not known.", True),
        ("- unet was trained 3 times with different seeds. Scores are means over the trainings.", True),
        ("- Split: 2 of 3 test images come from groups.", True),
        ("- Resolution: models see the images at 0.5 of their size.", False),
        ("- Latency: time for one image", False),
    ],
)
def test_warnings_are_about_trainings_and_splits(line: str, is_warning: bool) -> None:
    assert bool(cautions(f"# Benchmark\n\n{line}\n- Rank: the place\n")) == is_warning


@pytest.mark.parametrize(
    ("difference", "p_value", "verdict"),
    [(0.05, 0.01, "Yes."), (-0.05, 0.01, "No, b is."), (0.05, 0.2, "These test images cannot tell.")],
)
@pytest.mark.parametrize("is_turned", [False, True])
def test_a_pair_is_judged_whichever_stands_first(
    difference: float, p_value: float, verdict: str, is_turned: bool
) -> None:
    sign = -1 if is_turned else 1
    bounds = sorted((sign * (difference - 0.02), sign * (difference + 0.02)))
    found = Difference(Interval(sign * difference, *bounds), Interval(sign * difference, *bounds), p_value)
    pair = Pair("b", "a", MEAN_IOU) if is_turned else Pair("a", "b", MEAN_IOU)
    entries = tuple(
        replace(
            an_entry(name, crf=False, place=1, num_classes=2, is_external=False), scores={"mIoU": Interval(value, 0, 1)}
        )
        for name, value in (("a", 0.5 + difference), ("b", 0.5))
    )
    report = DatasetReport("streets", "", 3, (), entries, {pair: found}, {}, {})
    (line,) = brief_pair(report, "a", "b")
    assert line.startswith(f"- **Is a better than b?** {verdict} a has {50 + 100 * difference:.1f} %, b 50.0 %; ")
    low, high = (100 * (difference + half) for half in (-0.02, 0.02))
    assert f"is {100 * difference:+.1f} points, with an interval of [{low:+.1f}, {high:+.1f}]" in line
    assert brief_pair(report, "a", "c") == []


def test_many_models_are_cut_to_the_best() -> None:
    rows = pd.DataFrame(
        [{"model": f"m{n}", "crf": "off", "as_in_paper": True, "mIoU": n / 10, **ROW} for n in range(9)]
    )
    _, _, *lines = brief_table(rows)
    assert [line.split("|")[1].strip() for line in lines] == ["m8", "m7", "m6", "m5", "m4", "m3"]
