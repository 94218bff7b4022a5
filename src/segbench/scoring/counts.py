"""From folders of label maps, one PNG per test image, to the pixel counts that all metrics are computed from."""

import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from segbench.datasets.prepared import Prepared, Row
from segbench.errors import InputError, about
from segbench.files import replacing
from segbench.images import read_label_map
from segbench.labels import LabelMap
from segbench.scoring.boundaries import boundary_distances, trimap_confusions
from segbench.scoring.metrics import ClassPixels, Counts, Scores, compute_scores, confusion_matrix

KINDS = ("true", "predicted", "correct")
"""The arrays of `ClassPixels`, in their order."""


@dataclass(frozen=True, eq=False)
class SplitCounts:
    """Pixels of the test split by class, for one or more training seeds.

    images: of each image, in the manifest's order: true pixels (num_images, C), predicted and correct ones (num_seeds,
    num_images, C). Statistics need no more of an image, and with many classes its confusion matrix would be large.
    confusions: summed over images, (num_seeds, C, C). near_boundaries: summed over images too, of the pixels within
    each width of a boundary: (num_widths, C) and (num_seeds, num_widths, C).
    """

    images: ClassPixels
    confusions: Counts
    near_boundaries: ClassPixels

    @property
    def num_seeds(self) -> int:
        """How many trainings were counted."""
        return len(self.confusions)

    def first_seeds(self, number: int) -> "SplitCounts":
        """The counts of so many trainings alone."""
        images, near_boundaries = (
            ClassPixels(pixels.true, pixels.predicted[:number], pixels.correct[:number])
            for pixels in (self.images, self.near_boundaries)
        )
        return SplitCounts(images, self.confusions[:number], near_boundaries)

    def scores(self) -> list[Scores]:
        """All metrics of the split, for each seed."""
        return [compute_scores(confusion) for confusion in self.confusions]

    def mean_ious(self, rows: Sequence[Row], *, of: Sequence[Row]) -> list[float]:
        """The mean IoU of each of some images alone, as the first seed predicts it. of: all counted images."""
        places = {row.name: place for place, row in enumerate(of)}
        first = self.images.seed(0)
        return [first.select(places[row.name]).scores().mean_iou for row in rows]

    def scores_of(self, chosen: Sequence[bool]) -> list[Scores]:
        """All metrics of some of the images together, for each seed. chosen: one per image."""
        pixels = self.images.select(list(chosen)).total()
        return [pixels.seed(index).scores() for index in range(self.num_seeds)]


def count_folders(data: Prepared, folders: Sequence[Path], *, widths_px: Sequence[float]) -> SplitCounts:
    """Count the label maps of each seed's folder.

    Raises InputError for the first file that is missing, has another size than its image, or a label out of range.
    """
    rows, num_classes, num_widths = data.split("test"), len(data.classes), len(widths_px)
    images = np.zeros((3, len(folders), len(rows), num_classes), np.int64)
    confusions = np.zeros((len(folders), num_classes, num_classes), np.int64)
    near = np.zeros((len(folders), num_widths, num_classes, num_classes), np.int64)
    for image_index, row in enumerate(rows):
        truth = data.label_map(row)
        distances_px = boundary_distances(truth)
        for seed_index, folder in enumerate(folders):
            predicted = predicted_label_map(folder, row)
            with about(_path(folder, row)):
                confusion = confusion_matrix(truth=truth, predicted=predicted, num_classes=num_classes)
                near[seed_index] += trimap_confusions(
                    distances_px, truth=truth, predicted=predicted, num_classes=num_classes, widths_px=widths_px
                )
            pixels = ClassPixels.of(confusion)
            images[:, seed_index, image_index] = pixels.true, pixels.predicted, pixels.correct
            confusions[seed_index] += confusion
    of_images, of_boundaries = ClassPixels(images[0, 0], images[1], images[2]), ClassPixels.of(near)
    near_boundaries = ClassPixels(of_boundaries.true[0], of_boundaries.predicted, of_boundaries.correct)
    return SplitCounts(of_images, confusions, near_boundaries)


def predicted_label_map(folder: Path, row: Row) -> LabelMap:
    """The label map in `folder` that was predicted for an image: (H, W) uint8 class indices."""
    return read_label_map(_path(folder, row))


def _path(folder: Path, row: Row) -> Path:
    return folder / f"{row.name}.png"


def write_counts(path: Path, counts: Mapping[str, SplitCounts]) -> None:
    """Write counts by name, such as `off` and `on` for the CRF, in a compressed file."""
    arrays = {
        f"{name}_{key}": array.astype(np.uint32 if array.max(initial=0) < 2**32 else np.int64)
        for name, split_counts in counts.items()
        for key, array in _arrays(split_counts)
    }
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)


def read_counts(path: Path) -> dict[str, SplitCounts]:
    """The counts that `write_counts` wrote, by name. Raises InputError if the file is missing or damaged."""
    try:
        with np.load(path) as stored:
            names = [key.removesuffix("_confusions") for key in stored if key.endswith("_confusions")]
            return {
                name: SplitCounts(
                    images=ClassPixels(*(stored[f"{name}_images_{kind}"] for kind in KINDS)),
                    confusions=stored[f"{name}_confusions"].astype(np.int64),
                    near_boundaries=ClassPixels(*(stored[f"{name}_near_boundaries_{kind}"] for kind in KINDS)),
                )
                for name in names
            }
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, KeyError) as error:
        raise InputError(f"{path}: damaged ({error}); remove the file and run dvc repro") from None


def _arrays(counts: SplitCounts) -> Iterator[tuple[str, Counts]]:
    yield "confusions", counts.confusions
    for name, pixels in (("images", counts.images), ("near_boundaries", counts.near_boundaries)):
        for kind in KINDS:
            yield f"{name}_{kind}", getattr(pixels, kind)
