"""The same test images under several models."""

from collections.abc import Iterator, Mapping, Sequence
from math import ceil
from pathlib import Path

from segbench.datasets.prepared import Prepared
from segbench.labels import LabelMap
from segbench.report.drawing.figures import NO_CLASS, Part, Tile, mean_iou_text, write_figure
from segbench.report.drawing.pictures import pictured, reduced_image, reduced_label_map

MOST_COLUMNS = 7
"""More tiles in a row would be too narrow for the models' names."""


def write_examples(
    path: Path, data: Prepared, label_maps: Mapping[str, Sequence[LabelMap]], *,
    mean_ious: Mapping[str, Sequence[float]], num_images: int,
) -> None:  # fmt: skip
    """Evenly spaced test images, their truth, and each model's label map of them with its mIoU.

    label_maps: by model, of all pictured test images, reduced. mean_ious: by model, of each of these images alone.
    """
    rows, parts = pictured(data), []
    for index in range(0, len(rows), ceil(len(rows) / num_images)):
        row = rows[index]
        photo = Tile(reduced_image(data.image(row)), "photo")
        truth = Tile(data.classes.colorize(reduced_label_map(data.label_map(row))), "truth")
        predicted = [
            Tile(data.classes.colorize(of_model[index]), model, mean_iou_text(mean_ious[model][index]))
            for model, of_model in label_maps.items()
        ]
        parts.append(Part(list(arranged(photo, truth, predicted)), heading=row.name))
    write_figure(path, parts, classes=data.classes, marks=NO_CLASS)


def arranged(photo: Tile, truth: Tile, predicted: Sequence[Tile]) -> Iterator[list[Tile | None]]:
    """All in a row if they fit; else rows of predictions, with the photo and the truth below it in front of them."""
    if len(predicted) + 2 <= MOST_COLUMNS:
        yield [photo, truth, *predicted]
        return
    num_rows = max(2, ceil(len(predicted) / (MOST_COLUMNS - 1)))
    per_row = ceil(len(predicted) / num_rows)
    fronts = [photo, truth, *[None] * (num_rows - 2)]
    for number, front in enumerate(fronts):
        yield [front, *predicted[number * per_row : (number + 1) * per_row]]
