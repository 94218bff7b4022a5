"""The counts and costs of all models -> verdicts on a lecture's claims."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pipeline.command import run
from segbench import params
from segbench.datasets.prepared import Prepared
from segbench.files import read_json, replacing, write_json
from segbench.report.pages.claims import claims_markdown
from segbench.report.pages.sliding import sliding_markdown
from segbench.report.table.claims import CONTEXT, CRF, THIN, MeasureName, judge_costs, judge_scores
from segbench.scoring.counts import read_counts
from segbench.scoring.metrics import Counts


def main(*, dataset: str, prepared: Path, results: Path, findings: Path, page: Path, sliding: Path) -> None:
    """Judge the claims of a lecture on semantic segmentation by the results on one dataset."""
    parameters = params.load()
    data = Prepared.open(prepared)
    names, chosen = data.classes.names, parameters.dataset(dataset).claims
    classes: dict[MeasureName, Sequence[str]] = {
        "mIoU": names, THIN: chosen.thin_classes, CONTEXT: chosen.context_classes,
    }  # fmt: skip
    confusions: dict[str, Counts] = {}
    reports: dict[str, dict[str, Any]] = {}
    for model in (*parameters.benchmark.models, *parameters.benchmark.variants):
        counts = read_counts(results / model / "counts.npz")
        entries = {"off": model, "on": f"{model}{CRF}"}  # a variant's are off alone
        confusions |= {entries[crf]: of_split.confusions for crf, of_split in counts.items()}
        reports[model] = {name: read_json(results / model / f"{name}.json") for name in ("training", "prediction")}
    blocks = [row.block for row in data.split("test")]
    indices = {measure: [names.index(name) for name in of_measure] for measure, of_measure in classes.items()}
    settings = {model: report["training"]["settings"] for model, report in reports.items()}
    found = judge_scores(confusions, settings=settings, classes=indices, blocks=blocks) + judge_costs(reports)

    write_json(findings, [asdict(finding) for finding in found])
    claims = claims_markdown(
        found,
        dataset=dataset,
        num_images=len(blocks),
        num_blocks=len(set(blocks)),
        num_trainings={model: len(confusions[model]) for model in reports},
        classes=classes,
        results=reports,
    )
    for path, text in ((page, claims), (sliding, sliding_markdown(reports.get("sliding_window"), dataset=dataset))):
        with replacing(path) as temporary:
            temporary.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    run(main)
