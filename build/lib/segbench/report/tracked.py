"""What MLflow shows of a model's evaluation, and of the benchmark."""

import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from segbench import tracking
from segbench.datasets.prepared import Prepared
from segbench.datasets.source import SPLITS
from segbench.files import read_json
from segbench.images import write_image
from segbench.report.drawing.confusion import write_confusion
from segbench.report.drawing.figures import overlay
from segbench.scoring.counts import SplitCounts, predicted_label_map
from segbench.scoring.metrics import SHORT_NAMES

if TYPE_CHECKING:
    import pandas as pd  # evaluate has no use for it

NUM_PICTURES = 8
REPORT_TAG = "report"
CLASS_SCORES = {"IoU": "class_iou", "Dice": "class_dice", "accuracy": "class_accuracy", "precision": "class_precision"}
"""The scores of each class, by the headings of their table."""


def log_evaluation(
    run: tracking.Run, data: Prepared, *, title: str, counts: Mapping[str, SplitCounts], seed_index: int,
    label_maps: Path, out: Path, files: Sequence[Path],
) -> None:  # fmt: skip
    """Log the few numbers that people compare as metrics, all others as tables; and files, figures and pictures.

    counts: by `off` and `on` for the CRF; seed_index: which of their seeds the run trained. label_maps: the seed's
    folder. out: that of the model's reports. files: others that the run keeps.
    """
    _log_data(run, data, name=out.parents[1].name)
    run.set_tags({REPORT_TAG: out.as_posix()})
    names = data.classes.names
    classes: dict[str, Sequence[Any]] = {"class": names}
    with tempfile.TemporaryDirectory() as folder:
        for crf, split_counts in counts.items():
            suffix = "_crf" if crf == "on" else ""
            report = split_counts.scores()[seed_index].as_report(names)
            scores = {f"{short}{suffix}": report[name] for short, name in SHORT_NAMES.items()}
            run.log_metrics({tracking.SCORES[name]: value for name, value in scores.items() if name in tracking.SCORES})
            classes |= {f"{heading}{suffix}": list(report[name].values()) for heading, name in CLASS_SCORES.items()}
            confusion = split_counts.confusions[seed_index]
            columns = dict(zip(names, confusion.T.tolist(), strict=True))
            run.log_table(f"confusion_crf_{crf}", {"true class": names, **columns})
            figure = Path(folder) / f"confusion_crf_{crf}.png"
            write_confusion(figure, confusion, data.classes, title=f"{title}, CRF {crf}")
            run.log_file(figure)
        for row in data.split("test")[:NUM_PICTURES]:
            image, truth, predicted = data.image(row), data.label_map(row), predicted_label_map(label_maps, row)
            overlays = [overlay(image, label_map, data.classes) for label_map in (truth, predicted)]
            picture = Path(folder) / f"{row.name}.png"
            write_image(picture, np.concatenate([image, *overlays], axis=1))
            run.log_file(picture, "image_truth_prediction")
    run.log_table("classes", classes)
    costs, choice = out / "prediction.json", out / "crf.json"
    run.log_metrics(tracking.resources(read_json(costs)))
    if "on" in counts:
        _log_choice(run, read_json(choice))
    for path in (costs, *files):
        run.log_file(path)


def log_benchmark(
    data: Prepared, *, dataset: str, table: "pd.DataFrame", trainings: Mapping[str, Mapping[str, Any]],
    latencies: Mapping[str, Mapping[str, Any]], out: Path,
) -> None:  # fmt: skip
    """Log the table and the page to the run above those of the models, and to each of these how fast its model is.

    trainings, latencies: what those stages report, by model. out: the folder of the dataset's reports.
    """
    records = {name: training["trainings"] for name, training in trainings.items()}
    for name, of_model in records.items():
        for record in of_model:
            with tracking.known_run(dataset=dataset, key=record["training_key"]) as run:
                run.log_metrics(tracking.resources(latencies[name]))
    with tracking.benchmark_run(dataset=dataset) as run:
        _log_data(run, data, name=dataset)
        run.set_tags({REPORT_TAG: (out / "index.html").as_posix()})
        split = json.loads(table.to_json(orient="split"))
        run.log_table("benchmark", dict(zip(split["columns"], zip(*split["data"], strict=True), strict=True)))
        seconds = sum(record["training_seconds"] for of_model in records.values() for record in of_model)
        run.log_metrics({tracking.TOTAL_MINUTES: seconds / 60})
        for name in ("index.html", "examples.png"):
            run.log_file(out / name)


def _log_data(run: tracking.Run, data: Prepared, *, name: str) -> None:
    num_images = {split: len(data.split(split)) for split in SPLITS}
    run.log_dataset(name=name, digest=data.fingerprint, folder=data.root, num_images=num_images)


def _log_choice(run: tracking.Run, choice: Mapping[str, Any]) -> None:
    """The CRF's chosen parameters as parameters, and all that were tried as a table."""
    run.log_parameters({"crf": choice["chosen"] or "none"})
    tried = [{**candidate["parameters"], choice["objective"]: candidate["score"]} for candidate in choice["candidates"]]
    run.log_table("crf_search", {name: [values[name] for values in tried] for name in tried[0]} if tried else {})
