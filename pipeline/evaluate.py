"""Label maps, plain and refined -> a confusion matrix an image, the metrics of the split, and what reports show."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.command import run
from segbench import params
from segbench.datasets.prepared import Prepared
from segbench.files import read_json, write_json
from segbench.images import write_image
from segbench.report.drawing.pictures import pictured, write_contact_sheet
from segbench.scoring import metrics
from segbench.scoring.counts import SplitCounts, count_folders, predicted_label_map, write_counts

TRACKED_IMAGES = 8


def main(
    *, dataset: str, model: str, prepared: Path, predicted: Path, refined: Path, training: Path, costs: Path,
    choice: Path, search: Path, confusions: Path, sheet: Path, refined_sheet: Path, scores: Path, summary: Path,
) -> None:  # fmt: skip
    """Score one model on the test split of one dataset, and complete the MLflow run of each of its seeds.

    The counts and the sheets of label maps are all that comparisons need, and small enough for git.
    """
    data = Prepared.open(prepared)
    trainings = read_json(training)["trainings"]
    seeds = [f"seed_{one['seed']}" for one in trainings]
    widths_px = params.load().evaluate.trimap_widths_px
    counts = {
        crf: count_folders(data, [folder / seed for seed in seeds], widths_px=widths_px)
        for crf, folder in (("off", predicted), ("on", refined))
    }
    write_counts(confusions, counts)
    for path, folder in ((sheet, predicted), (refined_sheet, refined)):
        label_maps = [predicted_label_map(folder / seeds[0], row) for row in pictured(data)]
        write_contact_sheet(path, label_maps, data.classes)
    of_seeds = {crf: [metrics.compute_scores(one.sum(axis=0)) for one in of.confusions] for crf, of in counts.items()}
    means = {crf: metrics.average_scores(of).as_report(data.classes.names) for crf, of in of_seeds.items()}
    write_json(scores, {f"crf_{crf}": report for crf, report in means.items()})
    write_json(
        summary,
        {
            f"{short}{suffix}": means[crf][name]
            for short, name in metrics.SHORT_NAMES.items()
            for crf, suffix in (("off", ""), ("on", "_crf"))
        },
    )
    for index, one in enumerate(trainings):
        _track(
            dataset=dataset, model=model, data=data, key=one["training_key"], counts=counts, index=index,
            label_maps=predicted / seeds[index], reports=(costs, choice), files=(scores, search),
        )  # fmt: skip


def _track(
    *, dataset: str, model: str, data: Prepared, key: str, counts: dict[str, SplitCounts], index: int,
    label_maps: Path, reports: tuple[Path, ...], files: tuple[Path, ...],
) -> None:  # fmt: skip
    """In a seed's run: metrics, costs, the CRF's choice, confusion matrices, overlays of the first test images."""
    from segbench import tracking
    from segbench.report.drawing.figures import overlay, write_confusion

    with (
        tracking.evaluation_run(dataset=dataset, name=model, key=key) as tracked,
        tempfile.TemporaryDirectory() as folder,
    ):
        for crf, of in counts.items():
            confusion = of.confusions[index].sum(axis=0)
            report: dict[str, Any] = metrics.compute_scores(confusion).as_report(data.classes.names)
            tracked.log_metrics({f"test.crf_{crf}.{name}": value for name, value in tracking.numbers(report)})
            figure = Path(folder) / f"confusion_crf_{crf}.png"
            write_confusion(figure, confusion, data.classes, title=f"{model}, {dataset}, CRF {crf}")
            tracked.log_file(figure)
        for file in reports:
            tracked.log_metrics({f"{file.stem}.{name}": value for name, value in tracking.numbers(read_json(file))})
        for file in (*reports, *files):
            tracked.log_file(file)
        for row in data.split("test")[:TRACKED_IMAGES]:
            image, label_map = data.image(row), predicted_label_map(label_maps, row)
            picture = Path(folder) / f"{row.name}.png"
            overlays = [overlay(image, shown, data.classes) for shown in (data.label_map(row), label_map)]
            write_image(picture, np.concatenate([image, *overlays], axis=1))
            tracked.log_file(picture, "image_truth_prediction")


if __name__ == "__main__":
    run(main)
