"""A folder of label maps, one PNG a test image -> the counts that every score is made of."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from segbench.datasets.prepared import Prepared, Row
from segbench.errors import InputError
from segbench.files import replacing
from segbench.images import read_label_map
from segbench.labels import LabelMap
from segbench.scoring.boundaries import trimap_confusions
from segbench.scoring.metrics import Counts, confusion_matrix


@dataclass(frozen=True, eq=False)
class SplitCounts:
    """Counts of the test split, of one or more seeds: (num_seeds, num_images, C, C), in the manifest's order.

    trimap: of the pixels near boundaries, summed over images: (num_seeds, num_widths, C, C).
    """

    confusions: Counts
    trimap: Counts


def count_folders(data: Prepared, folders: Sequence[Path], *, widths_px: Sequence[float]) -> SplitCounts:
    """Count each seed's folder. InputError names the first file that is missing, of another size or out of range."""
    rows, num_classes = data.split("test"), len(data.classes)
    confusions = np.zeros((len(folders), len(rows), num_classes, num_classes), np.int64)
    trimap = np.zeros((len(folders), len(widths_px), num_classes, num_classes), np.int64)
    for seed, folder in enumerate(folders):
        for place, row in enumerate(rows):
            confusions[seed, place], near = _counts(data, row, folder, widths_px)
            trimap[seed] += near
    return SplitCounts(confusions, trimap)


def predicted_label_map(folder: Path, row: Row) -> LabelMap:
    """What a model found on an image: (H, W) uint8 class indices."""
    return read_label_map(folder / f"{row.name}.png")


def _counts(data: Prepared, row: Row, folder: Path, widths_px: Sequence[float]) -> tuple[Counts, Counts]:
    truth, predicted = data.label_map(row), predicted_label_map(folder, row)
    try:
        return (
            confusion_matrix(truth=truth, predicted=predicted, num_classes=len(data.classes)),
            trimap_confusions(truth=truth, predicted=predicted, num_classes=len(data.classes), widths_px=widths_px),
        )
    except InputError as error:
        raise InputError(f"{folder / row.name}.png: {error}") from None


def write_counts(path: Path, counts: dict[str, SplitCounts]) -> None:
    """Write counts by name, such as `off` and `on` for the CRF, compactly."""
    arrays = {
        f"{kind}_{name}": array.astype(np.uint32 if array.max(initial=0) < 2**32 else np.int64)
        for name, of_name in counts.items()
        for kind, array in (("confusions", of_name.confusions), ("trimap", of_name.trimap))
    }
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)


def read_counts(path: Path) -> dict[str, SplitCounts]:
    """What `write_counts` wrote. InputError if it is missing."""
    try:
        with np.load(path) as stored:
            names = [name.removeprefix("confusions_") for name in stored if name.startswith("confusions_")]
            return {
                name: SplitCounts(
                    stored[f"confusions_{name}"].astype(np.int64), stored[f"trimap_{name}"].astype(np.int64)
                )
                for name in names
            }
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
