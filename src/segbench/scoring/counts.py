"""From folders of label maps, one PNG per test image, to the pixel counts that all metrics are computed from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from segbench.datasets.prepared import Prepared, Row
from segbench.errors import InputError, about
from segbench.files import replacing
from segbench.images import read_label_map
from segbench.labels import LabelMap
from segbench.scoring.boundaries import trimap_confusions
from segbench.scoring.metrics import Counts, Scores, compute_scores, confusion_matrix


@dataclass(frozen=True, eq=False)
class SplitCounts:
    """Confusion matrices of the test split, for one or more training seeds.

    confusions: one per image, in the manifest's order: (num_seeds, num_images, C, C). trimap: of the pixels near
    boundaries, summed over images: (num_seeds, num_widths, C, C).
    """

    confusions: Counts
    trimap: Counts

    def of_split(self) -> Counts:
        """(num_seeds, C, C): one confusion matrix over the whole split per seed."""
        return self.confusions.sum(axis=1)

    def scores(self) -> list[Scores]:
        """All metrics of the split, for each seed."""
        return [compute_scores(confusion) for confusion in self.of_split()]


def count_folders(data: Prepared, folders: Sequence[Path], *, widths_px: Sequence[float]) -> SplitCounts:
    """Count the label maps of each seed's folder.

    Raises InputError for the first file that is missing, has another size than its image, or a label out of range.
    """
    rows, num_classes = data.split("test"), len(data.classes)
    confusions = np.zeros((len(folders), len(rows), num_classes, num_classes), np.int64)
    trimap = np.zeros((len(folders), len(widths_px), num_classes, num_classes), np.int64)
    for seed_index, folder in enumerate(folders):
        for image_index, row in enumerate(rows):
            truth, predicted = data.label_map(row), predicted_label_map(folder, row)
            with about(_path(folder, row)):
                confusions[seed_index, image_index] = confusion_matrix(
                    truth=truth, predicted=predicted, num_classes=num_classes
                )
                trimap[seed_index] += trimap_confusions(
                    truth=truth, predicted=predicted, num_classes=num_classes, widths_px=widths_px
                )
    return SplitCounts(confusions, trimap)


def predicted_label_map(folder: Path, row: Row) -> LabelMap:
    """The label map in `folder` that was predicted for an image: (H, W) uint8 class indices."""
    return read_label_map(_path(folder, row))


def _path(folder: Path, row: Row) -> Path:
    return folder / f"{row.name}.png"


def write_counts(path: Path, counts: Mapping[str, SplitCounts]) -> None:
    """Write counts by name, such as `off` and `on` for the CRF, in a compressed file."""
    arrays = {
        f"{kind}_{name}": array.astype(np.uint32 if array.max(initial=0) < 2**32 else np.int64)
        for name, split_counts in counts.items()
        for kind, array in (("confusions", split_counts.confusions), ("trimap", split_counts.trimap))
    }
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)


def read_counts(path: Path) -> dict[str, SplitCounts]:
    """The counts that `write_counts` wrote, by name. Raises InputError if the file is missing."""
    try:
        with np.load(path) as stored:
            names = [key.removeprefix("confusions_") for key in stored if key.startswith("confusions_")]
            return {
                name: SplitCounts(
                    stored[f"confusions_{name}"].astype(np.int64), stored[f"trimap_{name}"].astype(np.int64)
                )
                for name in names
            }
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
