"""README's table, which shows what the report in git holds."""

import pandas as pd
import pytest

from segbench.errors import InputError
from segbench.report.pages.brief import brief_answers, brief_table, put_between
from segbench.report.pages.overview import DatasetReport
from segbench.report.table.numbers import MISSING
from tests.parameters import PROJECT

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
    lines = [*brief_answers(DatasetReport.read(reports)), *brief_table(pd.read_csv(reports / "benchmark.csv"))]
    assert put_between(readme, lines, name="camvid") == readme


def test_many_models_are_cut_to_the_best() -> None:
    rows = pd.DataFrame(
        [{"model": f"m{n}", "crf": "off", "as_in_paper": True, "mIoU": n / 10, **ROW} for n in range(9)]
    )
    _, _, *lines = brief_table(rows)
    assert [line.split("|")[1].strip() for line in lines] == ["m8", "m7", "m6", "m5", "m4", "m3"]
