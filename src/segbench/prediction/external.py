"""Label maps of the test images that another program predicted, brought into the form of the benchmark's own."""

from pathlib import Path

import numpy as np

from segbench.datasets.prepared import Prepared, Row
from segbench.errors import InputError, about, raise_listed
from segbench.files import project_root
from segbench.images import open_image, read_label_map, write_label_map
from segbench.labels import IGNORE_INDEX, Classes, LabelMap, check_label_range


def adopt(folder: Path, data: Prepared, out: Path) -> None:
    """Read `folder/<image's name>.png` for every test image, and write its label map to the folder `out`.

    The files hold class indices (8-bit grey or palette) or the classes' colours (RGB). folder: relative to the
    project's root. Raises InputError with one line per file that is missing, has another size than its image, holds a
    value or colour of no class, or has pixels without a class where the truth has one.
    """
    mistakes = []
    for row in data.split("test"):
        try:
            label_map = _read_for(row, project_root() / folder / f"{row.name}.png", data)
        except InputError as mistake:
            mistakes.append(str(mistake))
            continue
        write_label_map(out / f"{row.name}.png", label_map, data.classes)
    raise_listed(mistakes)


def _read_for(row: Row, path: Path, data: Prepared) -> LabelMap:
    label_map = _read_indexed_or_colored(path, data.classes)
    height, width = label_map.shape
    if (height, width) != (row.height_px, row.width_px):
        raise InputError(f"{path}: it is {width}x{height}; it must be {row.width_px}x{row.height_px}, as its image is")
    check_label_range(label_map, num_classes=len(data.classes), where=str(path))
    undecided = int(((label_map == IGNORE_INDEX) & (data.label_map(row) != IGNORE_INDEX)).sum())
    if undecided:
        raise InputError(f"{path}: no class in {undecided} pixels where the truth has one; give each pixel a class")
    return label_map


def _read_indexed_or_colored(path: Path, classes: Classes) -> LabelMap:
    """An RGB image by the classes' colours, any other as `read_label_map` does."""
    with open_image(path) as image:
        if image.mode in ("RGB", "RGBA"):
            with about(path):
                return classes.from_colors(np.asarray(image.convert("RGB")))
    return read_label_map(path)
