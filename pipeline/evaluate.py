"""Label maps, plain and refined -> a confusion matrix an image, and the metrics of the split."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.command import run
from segbench import metrics
from segbench.datasets.prepared import Prepared, Row
from segbench.errors import InputError
from segbench.files import read_json, read_label_map, replacing, write_image, write_json

TRACKED_IMAGES = 8


def main(
    *, dataset: str, model: str, prepared: Path, predicted: Path, refined: Path, training: Path, costs: Path,
    choice: Path, confusions: Path, out: Path,
) -> None:  # fmt: skip
    """Score one model on the test split of one dataset, and complete its MLflow run."""
    data = Prepared.open(prepared)
    rows = data.split("test")
    per_image, report = {}, {}
    for name, folder in (("crf_off", predicted), ("crf_on", refined)):
        per_image[name] = np.stack([_confusion(data, row, folder / f"{row.name}.png") for row in rows])
        report[name] = metrics.scores(per_image[name].sum(axis=0)).as_report(data.classes.names)
    with replacing(confusions) as temporary, temporary.open("wb") as file:
        np.savez_compressed(
            file, names=[row.name for row in rows], crf_off=per_image["crf_off"], crf_on=per_image["crf_on"]
        )
    write_json(out, report)
    _track(dataset=dataset, model=model, data=data, report=report, per_image=per_image, predicted=predicted,
           training_key=read_json(training)["training_key"], out=out, costs=costs, choice=choice)  # fmt: skip


def _confusion(data: Prepared, row: Row, path: Path) -> metrics.Counts:
    try:
        return metrics.confusion_matrix(
            truth=data.label_map(row), predicted=read_label_map(path), num_classes=len(data.classes)
        )
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def _track(
    *, dataset: str, model: str, data: Prepared, report: dict[str, Any], per_image: dict[str, metrics.Counts],
    predicted: Path, training_key: str, out: Path, costs: Path, choice: Path,
) -> None:  # fmt: skip
    """Metrics, costs, the CRF's choice, confusion matrices and overlays of the first test images, all in one run."""
    from segbench import tracking
    from segbench.report.figures import overlay, write_confusion

    with (
        tracking.evaluation_run(dataset=dataset, model=model, key=training_key) as tracked,
        tempfile.TemporaryDirectory() as folder,
    ):
        tracked.log_metrics({f"test.{name}": value for name, value in tracking.numbers(report)})
        tracked.log_file(out)
        for file in (costs, choice):
            tracked.log_metrics({f"{file.stem}.{name}": value for name, value in tracking.numbers(read_json(file))})
            tracked.log_file(file)
        for name, confusions in per_image.items():
            figure = Path(folder) / f"confusion_{name}.png"
            write_confusion(figure, confusions.sum(axis=0), data.classes, title=f"{model}, {dataset}, {name}")
            tracked.log_file(figure)
        for row in data.split("test")[:TRACKED_IMAGES]:
            image, label_map = data.image(row), read_label_map(predicted / f"{row.name}.png")
            picture = Path(folder) / f"{row.name}.png"
            pictures = (
                image,
                overlay(image, data.label_map(row), data.classes),
                overlay(image, label_map, data.classes),
            )
            write_image(picture, np.concatenate(pictures, axis=1))
            tracked.log_file(picture, "image_truth_prediction")


if __name__ == "__main__":
    run(main)
