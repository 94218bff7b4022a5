"""The counts and costs of all models -> verdicts on a lecture's claims."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pipeline.command import run
from segbench import params
from segbench.datasets.left_out import open_scored
from segbench.datasets.prepared import Prepared
from segbench.files import read_json, replacing, write_json
from segbench.report.pages.claims import claims_markdown
from segbench.report.pages.sliding import sliding_markdown
from segbench.report.table.agreement import check_agreement, check_any_trained
from segbench.report.table.claims import CONTEXT, CRF, THIN, MeasureName, judge_costs, judge_scores, told_settings
from segbench.report.table.failures import failure_of
from segbench.scoring.blocks import Clips, choose_blocks
from segbench.scoring.counts import read_counts
from segbench.scoring.metrics import ClassPixels


def main(
    *, dataset: str, prepared: Path, results: Path, latency: Path, findings: Path, page: Path, sliding: Path
) -> None:
    """Judge the claims of a lecture on semantic segmentation by the results on one dataset."""
    parameters = params.load()
    entry = parameters.dataset(dataset)
    data = open_scored(prepared, entry.leave_out, dataset=dataset)
    names, chosen = data.classes.names, entry.claims
    classes: dict[MeasureName, Sequence[str]] = {
        "mIoU": names, THIN: chosen.thin_classes, CONTEXT: chosen.context_classes,
    }  # fmt: skip
    scored = {row.name for row in data.split("test")}
    is_scored = [row.name in scored for row in Prepared.open(prepared).split("test")]  # what variants counted
    images: dict[str, ClassPixels] = {}
    trainings: dict[str, str | None] = {}
    reports: dict[str, dict[str, Any]] = {}
    names_of_models = (*parameters.benchmark.models, *parameters.benchmark.variants)
    failures = {model: failure_of(read_json(results / model / "training.json")) for model in names_of_models}
    check_any_trained(failures, results=results)
    failed = {model: failure for model, failure in failures.items() if failure}
    latencies = read_json(latency)["models"]
    for model in names_of_models:
        if model in failed:
            continue
        counts = read_counts(results / model / "counts.npz")
        entries = {"off": model, "on": f"{model}{CRF}"}  # a variant's are off alone
        kept = slice(None) if model in parameters.benchmark.models else is_scored
        images |= {entries[crf]: of_split.images.select(kept) for crf, of_split in counts.items()}
        trainings |= {entries[crf]: model for crf in counts}
        reports[model] = {name: read_json(results / model / f"{name}.json") for name in ("training", "prediction")}
        reports[model]["latency"] = latencies[model]
    trained = {model: reports[model]["training"] for model in parameters.benchmark.models if model in reports}
    check_agreement(trained, fingerprint=data.fingerprint, results=results)
    rows = data.split("test")
    of_classes = zip(*(row.class_pixels for row in rows), strict=True)
    blocks = choose_blocks(images, Clips.of(rows))
    indices = {measure: [names.index(name) for name in of_measure] for measure, of_measure in classes.items()}
    settings = {model: told_settings(report["training"]) for model, report in reports.items()}
    found = judge_scores(images, settings=settings, classes=indices, trainings=trainings, blocks=blocks, failed=failed)
    found += judge_costs(reports, failed=failed)

    write_json(findings, [asdict(finding) for finding in found])
    claims = claims_markdown(
        found,
        dataset=dataset,
        num_images=len(rows),
        left_out=entry.leave_out,
        num_blocks=blocks.number,
        num_trainings={model: len(images[model].correct) for model in reports},
        classes=classes,
        absent=[name for name, pixels in zip(names, of_classes, strict=True) if not sum(pixels)],
        results=reports,
        failed=failed,
    )
    sliding_page = sliding_markdown(
        reports.get("sliding_window"), failure=failed.get("sliding_window"), dataset=dataset
    )
    for path, text in ((page, claims), (sliding, sliding_page)):
        with replacing(path) as temporary:
            temporary.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    run(main)
