"""The same test images under several models."""

from collections.abc import Mapping, Sequence
from math import ceil
from pathlib import Path

from segbench.datasets.prepared import Prepared
from segbench.labels import LabelMap
from segbench.report.drawing.figures import write_grid
from segbench.report.drawing.pictures import pictured, reduced_image, reduced_label_map

CELL_WIDTH_PX = 240


def write_examples(
    path: Path, data: Prepared, label_maps: Mapping[str, Sequence[LabelMap]], *, num_images: int
) -> None:
    """A row of evenly spaced test images, their truth, and one row of label maps per model.

    label_maps: by model, of all pictured test images, reduced.
    """
    rows = pictured(data)
    shown = range(0, len(rows), ceil(len(rows) / num_images))
    images = [reduced_image(data.image(rows[index])) for index in shown]
    truths = [data.classes.colorize(reduced_label_map(data.label_map(rows[index]))) for index in shown]
    predicted = [[data.classes.colorize(of_model[index]) for index in shown] for of_model in label_maps.values()]
    write_grid(
        path,
        [images, truths, *predicted],
        row_headers=["image", "truth", *label_maps],
        classes=data.classes,
        cell_width_px=CELL_WIDTH_PX,
    )
