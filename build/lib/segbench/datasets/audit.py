"""Warnings about a prepared dataset that its owner should read before trusting scores.

They come from its manifest, and from how well label maps lie on their images, and read no image.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segbench.datasets.alignment import Alignment
from segbench.datasets.prepared import Prepared, Row
from segbench.datasets.source import SPLITS

MOST_NEAR_BITS = 6
"""Bits of 64 in which the perceptual hashes of two images that look alike may differ. A frame of CamVid that was saved
as JPEG, halved, brightened by a fifth or cropped by 2 % differs from the original in at most 6 bits, frames of two
videos differ in at least 10."""
MOST_IGNORED = 0.5
"""Share of a split's pixels without a class above which scores describe the smaller part of its images."""
FEW_IMAGES = 5
"""The audit warns of a class in fewer training images than this: they do not show how it varies."""
RARE = 0.001
"""Share of the labelled training pixels below which plain cross entropy loses little by never predicting a class."""

CLEAR_PEAK = 8.0
"""Agreement at a shift, in standard deviations, that chance does not reach: a label map of another image reaches 4 to
6 at its best shift."""
MOST_IN_PLACE = 0.6
"""A label map is moved if its agreement in place is less than this share of that at its best shift."""
CLEAR_EDGES = 10.0
"""Median agreement in place, in standard deviations, above which a dataset's edges tell a label map without any."""
LEAST_OF_MEDIAN = 1 / 3
"""A label map fits another image if its agreement in place is less than this share of the dataset's median."""


@dataclass(frozen=True)
class Finding:
    """A warning in one line. images: those that it is about; empty if it is about the dataset as a whole."""

    says: str
    images: tuple[str, ...] = ()


def audit(data: Prepared, alignments: Sequence[Alignment | None]) -> list[Finding]:
    """Warn of duplicates and groups across splits, of absent and rare classes, of pixels without a class, and of label
    maps that do not lie on their images.

    alignments: one for each row of the dataset, as `prepare_and_align` returns them.
    """
    return [
        *_duplicates(data.rows), *_shared_groups(data.rows), *_classes(data), *_unlabelled(data),
        *_misplaced(data.rows, alignments),
    ]  # fmt: skip


def class_shares(rows: Sequence[Row]) -> NDArray[np.float64]:
    """(num_classes,) each class's share of the labelled pixels."""
    pixels = np.sum([row.class_pixels for row in rows], axis=0)
    return pixels / max(1, pixels.sum())


def class_images(rows: Sequence[Row]) -> NDArray[np.int64]:
    """(num_classes,) number of images that have a pixel of each class."""
    return np.sum([np.array(row.class_pixels) > 0 for row in rows], axis=0)


def ignored_share(rows: Sequence[Row]) -> float:
    """The share of all pixels that have no class."""
    return sum(row.ignored_pixels for row in rows) / sum(row.height_px * row.width_px for row in rows)


def _duplicates(rows: Sequence[Row]) -> Iterator[Finding]:
    """Pair each image that resembles one of an earlier split with the one that it resembles most."""
    same, alike = [], []
    for position, split in enumerate(SPLITS[1:], start=1):
        earlier = [row for row in rows if row.split in SPLITS[:position]]
        hashes = np.array([row.perceptual_hash for row in earlier], np.uint64)
        twins = {row.image_digest: row for row in earlier}
        for row in (row for row in rows if row.split == split):
            distances_bits = np.bitwise_count(hashes ^ np.uint64(row.perceptual_hash))
            if row.image_digest in twins:
                same.append(f"{_name(row)} and {_name(twins[row.image_digest])}")
            elif distances_bits.min() <= MOST_NEAR_BITS:
                alike.append(f"{_name(row)} and {_name(earlier[distances_bits.argmin()])}")
    if same:
        yield Finding(f"images that are in two splits: {len(same)}", tuple(same))
    if alike:
        yield Finding(f"images that look like one of another split: {len(alike)}", tuple(alike))


def _shared_groups(rows: Sequence[Row]) -> Iterator[Finding]:
    import pandas as pd  # takes half a second

    table = pd.DataFrame({"group": [row.group for row in rows], "split": [row.split for row in rows]})
    num_splits = table.groupby("group")["split"].nunique()
    if shared := list(num_splits.index[num_splits > 1]):
        yield Finding(f"images of one group are in several splits: {', '.join(shared)}")


def _classes(data: Prepared) -> Iterator[Finding]:
    import pandas as pd

    num_images = pd.DataFrame({split: class_images(data.split(split)) for split in SPLITS}, index=data.classes.names)
    for split in SPLITS:
        if absent := list(num_images.index[num_images[split] == 0]):
            yield Finding(f"{split} has no pixel of {', '.join(absent)}")
    few = num_images["train"][num_images["train"].between(1, FEW_IMAGES - 1)]
    if len(few):
        listed = [f"{name} ({count})" for name, count in few.items()]
        yield Finding(f"only a few training images have {', '.join(listed)}")
    shares = pd.Series(class_shares(data.split("train")), index=data.classes.names)
    rare = shares[shares.between(0, RARE, inclusive="neither")]
    if len(rare):
        listed = [f"{name} ({100 * share:.2g} %)" for name, share in rare.items()]
        yield Finding(f"few training pixels are of {', '.join(listed)}; train.class_weights may help")


def _unlabelled(data: Prepared) -> Iterator[Finding]:
    for split in SPLITS:
        share = ignored_share(data.split(split))
        if share > MOST_IGNORED:
            yield Finding(f"{100 * share:.0f} % of the pixels of {split} have no class")
    empty = tuple(_name(row) for row in data.rows if not any(row.class_pixels))
    if empty:
        yield Finding(f"images without a labelled pixel: {len(empty)}", empty)


def _misplaced(rows: Sequence[Row], alignments: Sequence[Alignment | None]) -> Iterator[Finding]:
    """Label maps that were moved, and those whose edges lie nowhere on the image's."""
    known = [(row, alignment) for row, alignment in zip(rows, alignments, strict=True) if alignment]
    median = float(np.median([alignment.in_place for _, alignment in known])) if known else 0.0
    moved, foreign = [], []
    for row, found in known:
        if found.best >= CLEAR_PEAK and found.in_place < MOST_IN_PLACE * found.best:
            moved.append(f"{_name(row)}, by about {_shift(found)}")
        elif median >= CLEAR_EDGES and found.in_place < min(found.best, LEAST_OF_MEDIAN * median):
            foreign.append(_name(row))
    if moved:
        yield Finding(
            f"label maps that fit their images better when they are moved, around the sides too: {len(moved)}",
            tuple(moved),
        )
    if foreign:
        yield Finding(
            f"label maps whose edges are not where the image has edges, as if of another image: {len(foreign)}",
            tuple(foreign),
        )


def _shift(found: Alignment) -> str:
    """The way back, in px: `88 px to the right`."""
    sides = (
        (found.right_px, "to the right" if found.right_px > 0 else "to the left"),
        (found.down_px, "down" if found.down_px > 0 else "up"),
    )
    return " and ".join(f"{abs(shift_px)} px {way}" for shift_px, way in sides if shift_px)


def _name(row: Row) -> str:
    return f"{row.split}/{row.name}"
