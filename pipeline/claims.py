"""The counts and costs of all models -> verdicts on a lecture's claims."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pipeline.command import run
from segbench import params
from segbench.datasets.prepared import Prepared
from segbench.errors import InputError
from segbench.files import read_json, replacing, write_json
from segbench.report.pages.claims import claims_markdown
from segbench.report.pages.sliding import sliding_markdown
from segbench.report.table.claims import CONTEXT, THIN, MeasureName, judge_costs, judge_scores
from segbench.report.table.failures import failure_of
from segbench.scoring.blocks import Clips, choose_blocks
from segbench.scoring.counts import read_counts
from segbench.scoring.metrics import ClassPixels


def main(
    *, dataset: str, prepared: Path, results: Path, latency: Path, findings: Path, page: Path, sliding: Path
) -> None:
    """Judge the claims of a lecture on semantic segmentation by the results on one dataset."""
    parameters = params.load()
    data = Prepared.open(prepared)
    names, chosen = data.classes.names, parameters.dataset(dataset).claims
    classes: dict[MeasureName, Sequence[str]] = {
        "mIoU": names, THIN: chosen.thin_classes, CONTEXT: chosen.context_classes,
    }  # fmt: skip
    images: dict[str, ClassPixels] = {}
    trainings: dict[str, str | None] = {}
    reports: dict[str, dict[str, Any]] = {}
    failed = {
        model: failure
        for model in parameters.benchmark.models
        if (failure := failure_of(read_json(results / model / "training.json")))
    }
    if len(failed) == len(parameters.benchmark.models):
        raise InputError(f"{results}: every training has diverged, so there is nothing to judge; lower train.lr")
    latencies = read_json(latency)["models"]
    for model in parameters.benchmark.models:
        if model in failed:
            continue
        counts = read_counts(results / model / "counts.npz")
        images |= {model: counts["off"].images, f"{model} + CRF": counts["on"].images}
        trainings |= {model: model, f"{model} + CRF": model}
        reports[model] = {name: read_json(results / model / f"{name}.json") for name in ("training", "prediction")}
        reports[model]["latency"] = latencies[model]
    rows = data.split("test")
    blocks = choose_blocks(images, Clips.of(rows))
    indices = {measure: [names.index(name) for name in of_measure] for measure, of_measure in classes.items()}
    found = judge_scores(images, classes=indices, trainings=trainings, blocks=blocks, failed=failed)
    found += judge_costs(reports, failed=failed)

    write_json(findings, [asdict(finding) for finding in found])
    claims = claims_markdown(
        found,
        dataset=dataset,
        num_images=len(rows),
        num_blocks=blocks.number,
        num_trainings={model: len(images[model].correct) for model in reports},
        classes=classes,
        results=reports,
    )
    sliding_page = sliding_markdown(
        reports.get("sliding_window"), failure=failed.get("sliding_window"), dataset=dataset
    )
    for path, text in ((page, claims), (sliding, sliding_page)):
        with replacing(path) as temporary:
            temporary.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    run(main)
