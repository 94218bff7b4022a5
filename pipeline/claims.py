"""Confusion matrices and costs -> what the lecture claims, and whether the numbers bear it out."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pipeline.command import run
from segbench import params
from segbench.datasets.prepared import Prepared
from segbench.files import read_json, replacing, write_json
from segbench.report.pages.sliding import sliding_markdown
from segbench.report.table.claims import CONTEXT, THIN, MeasureName, judge_costs, judge_scores, lecture_markdown
from segbench.scoring.counts import read_counts
from segbench.scoring.metrics import Counts


def main(*, dataset: str, prepared: Path, results: Path, findings: Path, page: Path, sliding: Path) -> None:
    """Judge the lecture's claims on one dataset."""
    parameters = params.load()
    data = Prepared.open(prepared)
    names, chosen = data.classes.names, parameters.dataset(dataset).claims
    members: dict[MeasureName, Sequence[str]] = {
        "mIoU": names,
        THIN: chosen.thin_classes,
        CONTEXT: chosen.context_classes,
    }
    counts: dict[str, Counts] = {}
    reports: dict[str, dict[str, Any]] = {}
    for model in parameters.benchmark.models:
        of_model = read_counts(results / model / "counts.npz")
        counts |= {model: of_model["off"].confusions, f"{model} + CRF": of_model["on"].confusions}
        reports[model] = {name: read_json(results / model / f"{name}.json") for name in ("training", "prediction")}
    classes = {measure: [names.index(name) for name in group] for measure, group in members.items()}
    blocks = [row.block for row in data.split("test")]
    found = judge_scores(counts, classes=classes, blocks=blocks) + judge_costs(reports)
    write_json(findings, [asdict(finding) for finding in found])
    text = lecture_markdown(
        found,
        dataset=dataset,
        num_images=len(blocks),
        num_blocks=len(set(blocks)),
        num_seeds={model: len(counts[model]) for model in reports},
        classes=members,
        results=reports,
    )
    _write(page, text)
    _write(sliding, _sliding_page(dataset, reports.get("sliding_window")))


def _sliding_page(dataset: str, reports: dict[str, Any] | None) -> str:
    if reports is None:
        return "sliding_window is not in the benchmark.\n"
    return sliding_markdown(
        reports["prediction"]["forms"],
        dataset=dataset,
        patch_px=reports["training"]["settings"]["model"]["patch_px"],
        machine=reports["prediction"]["machine"],
    )


def _write(path: Path, text: str) -> None:
    with replacing(path) as temporary:
        temporary.write_text(text)


if __name__ == "__main__":
    run(main)
