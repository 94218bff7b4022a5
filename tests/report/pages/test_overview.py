"""The page over all datasets, from reports for which it is known what it must say."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from pipeline import index
from segbench.errors import InputError
from segbench.files import write_json
from segbench.report.pages.answer import TRUST
from segbench.report.pages.brief import brief_machines
from segbench.report.pages.markdown import table
from segbench.report.pages.overview import DatasetReport, model_rows, overview_html, what_holds_everywhere
from segbench.report.pages.protocol import COMMIT, LICENCE
from tests.parameters import PROJECT


def a_report(folder: Path, scores: dict[str, float], *, least: float = 0.03) -> DatasetReport:
    """Write the files of a report and read them. Differences are significant from `least` on."""
    folder.mkdir(parents=True)
    (folder / "benchmark.md").write_text(
        f"# Benchmark on {folder.name}\n\n{folder.name}: 9 train, 5 val, 7 test images of 8x6 px, 2 classes.\n"
    )
    (folder / "index.html").touch()
    rows = [
        {
            "model": model, "crf": "off", "as_in_paper": True, "rank": 1, "rank_best": 1, "rank_worst": 1,
            "mIoU": score, "mIoU_low": score - 0.01, "mIoU_high": score + 0.01, "latency_ms": 9.0,
            "training_seconds": 60.0,
        }
        for model, score in scores.items()
    ]  # fmt: skip
    pd.DataFrame(rows).to_csv(folder / "benchmark.csv", index=False)
    pairs = [
        {
            "first": first, "second": second, "difference": scores[first] - scores[second], "difference_low": -1,
            "difference_high": 1, "simultaneous_low": -1, "simultaneous_high": 1,
            "adjusted_p_value": 0.001 if abs(scores[first] - scores[second]) >= least else 0.4,
        }
        for first in scores
        for second in scores
        if first < second
    ]  # fmt: skip
    pd.DataFrame(pairs).to_csv(folder / "differences.csv", index=False)
    return DatasetReport.read(folder)


def test_the_best_of_each_dataset_and_what_cannot_be_told_apart(tmp_path: Path) -> None:
    streets = a_report(tmp_path / "streets", {"unet": 0.6, "fcn": 0.59, "color": 0.2})
    cells = a_report(tmp_path / "cells", {"unet": 0.9, "fcn": 0.7})
    assert (streets.num_images, streets.best, cells.best) == (7, {"unet", "fcn"}, {"unet"})
    assert [tuple(row) for row in model_rows([streets, cells])] == [
        ("unet", ("60.0", "90.0"), (True, True)),
        ("fcn", ("59.0", "70.0"), (True, False)),
        ("color", ("20.0", None), (False, False)),
    ]


def test_what_holds_on_every_dataset_is_said_of_those_with_both_models(tmp_path: Path) -> None:
    reports = [
        a_report(tmp_path / "a", {"unet": 0.6, "fcn": 0.59, "pspnet": 0.6, "color": 0.2, "alone": 0.9}),
        a_report(tmp_path / "b", {"unet": 0.9, "fcn": 0.7, "pspnet": 0.5, "color": 0.1}),
    ]
    best, *pairs = what_holds_everywhere(reports)
    assert "unet: on every" not in best and best.startswith("Each of unet, fcn and pspnet is significantly more")
    assert best.endswith("than color, on every dataset with both.") and not pairs
    reports[0] = a_report(tmp_path / "c", {"unet": 0.91, "fcn": 0.5, "alone": 0.9})
    assert what_holds_everywhere(reports) == [
        "unet: on every dataset that it was run on, no model is significantly more accurate.",
        "unet is significantly more accurate than fcn, on every dataset with both.",
    ]
    assert what_holds_everywhere(reports[:1]) == []


def test_the_page_links_what_is_there(tmp_path: Path) -> None:
    html = overview_html([a_report(tmp_path / "<b>", {"unet": 0.6, "fcn": 0.2})])
    assert 'href="&lt;b&gt;/index.html"' in html and "<b>:" not in html
    assert "claims.md" not in html and "7 test images" in html


def test_licence_and_commit_are_told_where_the_report_has_them(tmp_path: Path) -> None:
    a_report(tmp_path / "streets", {"unet": 0.6, "fcn": 0.2})
    markdown = tmp_path / "streets/benchmark.md"
    lines = table(["what", "value"], [("trained at commit", "c0ffee of 2026-01-02"), (LICENCE, "CC0")], left=2)
    markdown.write_text("\n".join([markdown.read_text(), *lines]))
    report = DatasetReport.read(tmp_path / "streets")
    assert report.origin == {COMMIT: "c0ffee of 2026-01-02", LICENCE: "CC0"}
    html = overview_html([report])
    assert "Trained at commit: c0ffee of 2026-01-02." in html and "Licence of the images: CC0." in html


def test_training_times_of_different_machines_are_not_compared(tmp_path: Path) -> None:
    a_report(tmp_path / "streets", {"unet": 0.6, "fcn": 0.59, "color": 0.2})
    for model, machine in (("unet", "two cores"), ("fcn", "a GPU"), ("color", "two cores")):
        write_json(tmp_path / f"streets/models/{model}/training.json", {"machines": [machine]})
    limits = "\n- Costs: models were trained on two machines.\n- Costs: models predicted on two machines.\n"
    text = (tmp_path / "streets/benchmark.md").read_text()
    (tmp_path / "streets/benchmark.md").write_text(text + limits)
    report = DatasetReport.read(tmp_path / "streets")
    assert any("training times do not compare" in answer.text for answer in report.answers)
    assert brief_machines(report) == [
        "", "Models were trained on two machines.", "", "Models predicted on two machines.",
    ]  # fmt: skip
    write_json(tmp_path / "streets/models/fcn/training.json", {"machines": ["two cores"]})
    (tmp_path / "streets/benchmark.md").write_text(text)
    alike = DatasetReport.read(tmp_path / "streets")
    assert any("to train (60 s)" in answer.text for answer in alike.answers) and not brief_machines(alike)


def test_a_folder_without_reports_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no folder in it has a benchmark\.csv"):
        index.main(reports=tmp_path)
    a_report(tmp_path / "streets", {"unet": 0.6})
    (tmp_path / "streets/benchmark.md").write_text("# nothing\n")
    with pytest.raises(InputError, match="has no line on the dataset's images"):
        index.main(reports=tmp_path)
    for file in ("differences.csv", "benchmark.md"):
        (tmp_path / "streets" / file).unlink()
        with pytest.raises(InputError, match=rf"streets/{file}: no such file; run dvc repro compare@streets"):
            index.main(reports=tmp_path)


def test_the_page_in_git_is_that_of_the_reports_in_git(tmp_path: Path) -> None:
    reports = PROJECT / "reports"
    folders = sorted(path.parent for path in reports.glob("*/benchmark.csv"))
    made = overview_html([DatasetReport.read(folder) for folder in folders])
    assert (reports / "index.html").read_text(encoding="utf-8") == made


def test_a_reader_is_warned_before_the_answers(tmp_path: Path) -> None:
    a_report(tmp_path / "streets", {"unet": 0.6, "fcn": 0.2})
    markdown = tmp_path / "streets/benchmark.md"
    markdown.write_text(f"{markdown.read_text()}\n**{TRUST}** Each model was trained once.\n\n**Another?** Yes.\n")
    first = DatasetReport.read(tmp_path / "streets").answers[0]
    assert (first.question, first.text) == (TRUST, "Each model was trained once.")


def test_a_model_that_has_a_crf_everywhere_says_so(tmp_path: Path) -> None:
    reports = [a_report(tmp_path / name, {"unet": 0.6, "v1": 0.5}) for name in ("a", "b")]
    refined = [replace(entry, crf=entry.model == "v1") for entry in reports[0].entries]
    reports[0] = replace(reports[0], entries=tuple(refined))
    assert [row.label for row in model_rows(reports)] == ["unet", "v1"]
    reports[1] = replace(reports[1], entries=tuple(refined))
    assert [row.label for row in model_rows(reports)] == ["unet", "v1 + CRF"]
