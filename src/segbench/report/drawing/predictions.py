"""What one model predicts for some test images."""

from collections.abc import Sequence
from math import ceil
from pathlib import Path

from segbench.datasets.prepared import Prepared
from segbench.labels import LabelMap
from segbench.report.drawing.figures import NO_CLASS, WRONG, marked, mean_iou_text, write_grid
from segbench.report.drawing.pictures import pictured, reduced_image, reduced_label_map

NUM_IMAGES = 6


def write_predictions(
    path: Path, data: Prepared, label_maps: Sequence[LabelMap], *, mean_ious: Sequence[float]
) -> None:
    """A row for each of a few evenly spaced test images: photo, truth, label map, and its wrong pixels.

    label_maps, mean_ious: of all pictured test images; mean_ious: of each image alone.
    """
    rows, cells, names = pictured(data), [], []
    for index in range(0, len(rows), ceil(len(rows) / NUM_IMAGES)):
        row, predicted = rows[index], reduced_label_map(label_maps[index])
        truth = reduced_label_map(data.label_map(row))
        wrong = marked(predicted, truth=truth, classes=data.classes)
        colored = [data.classes.colorize(label_map) for label_map in (truth, predicted)]
        cells.append([reduced_image(data.image(row)), *colored, wrong])
        names.append(f"{row.name}\n{mean_iou_text(mean_ious[index])}")
    write_grid(
        path,
        cells,
        headers=["photo", "truth", "prediction", "wrong pixels"],
        row_headers=names,
        classes=data.classes,
        marks={"wrong": WRONG, **NO_CLASS},
    )
