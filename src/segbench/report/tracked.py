"""What a model's MLflow run shows of its evaluation."""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from segbench import tracking
from segbench.datasets.prepared import Prepared
from segbench.files import read_json
from segbench.images import write_image
from segbench.report.drawing.confusion import write_confusion
from segbench.report.drawing.figures import overlay
from segbench.scoring.counts import SplitCounts, predicted_label_map

NUM_PICTURES = 8


def log_evaluation(
    run: tracking.Run, data: Prepared, *, title: str, counts: Mapping[str, SplitCounts], seed_index: int,
    label_maps: Path, reports: Sequence[Path], files: Sequence[Path],
) -> None:  # fmt: skip
    """Log metrics, costs, confusion matrices, files, and the first test images under their label maps.

    counts: by `off` and `on` for the CRF; seed_index: which of their seeds the run trained. label_maps: the seed's
    folder. reports: JSON files whose numbers are metrics too.
    """
    with tempfile.TemporaryDirectory() as folder:
        for crf, split_counts in counts.items():
            report = split_counts.scores()[seed_index].as_report(data.classes.names)
            run.log_metrics({f"test.crf_{crf}.{name}": value for name, value in tracking.numbers(report)})
            figure = Path(folder) / f"confusion_crf_{crf}.png"
            write_confusion(figure, split_counts.confusions[seed_index], data.classes, title=f"{title}, CRF {crf}")
            run.log_file(figure)
        for row in data.split("test")[:NUM_PICTURES]:
            image, truth, predicted = data.image(row), data.label_map(row), predicted_label_map(label_maps, row)
            overlays = [overlay(image, label_map, data.classes) for label_map in (truth, predicted)]
            picture = Path(folder) / f"{row.name}.png"
            write_image(picture, np.concatenate([image, *overlays], axis=1))
            run.log_file(picture, "image_truth_prediction")
    for path in reports:
        run.log_metrics({f"{path.stem}.{name}": value for name, value in tracking.numbers(read_json(path))})
    for path in (*reports, *files):
        run.log_file(path)
