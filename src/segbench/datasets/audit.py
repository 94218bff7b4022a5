"""What the owner of a prepared dataset should know before trusting its scores, found in its manifest alone."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segbench.datasets.prepared import Prepared, Row
from segbench.datasets.source import SPLITS

MOST_NEAR_BITS = 6
"""Of 64 in a perceptual hash. CamVid's frames saved as JPEG, halved, brightened by a fifth or cropped by 2 % differ
from themselves in at most 6 bits, frames of two videos in at least 10."""
MOST_IGNORED = 0.5
"""Share of a split's pixels without a class: above it, scores are of the lesser part of the images."""
FEW_IMAGES = 5
"""Training images with a class: fewer do not show how it varies."""
RARE = 0.001
"""Share of a class in the labelled training pixels: below it, plain cross entropy loses little by never naming it."""


@dataclass(frozen=True)
class Finding:
    """A warning in one line, and the images that it is about, if it is about some of them."""

    says: str
    images: tuple[str, ...] = ()


def audit(data: Prepared) -> list[Finding]:
    """Duplicates and groups across splits, classes that are absent or rare, and pixels without a class."""
    return [*_duplicates(data.rows), *_shared_groups(data.rows), *_classes(data), *_unlabelled(data)]


def class_shares(rows: Sequence[Row]) -> NDArray[np.float64]:
    """Each class's share of the labelled pixels."""
    pixels = np.sum([row.class_pixels for row in rows], axis=0)
    return pixels / max(1, pixels.sum())


def class_images(rows: Sequence[Row]) -> NDArray[np.int64]:
    """The images in which each class has a pixel."""
    return np.sum([np.array(row.class_pixels) > 0 for row in rows], axis=0)


def ignored_share(rows: Sequence[Row]) -> float:
    """The pixels without a class, of all."""
    return sum(row.ignored_pixels for row in rows) / sum(row.height_px * row.width_px for row in rows)


def _duplicates(rows: Sequence[Row]) -> Iterator[Finding]:
    """Each image that resembles one of an earlier split, with the one that it resembles most."""
    same, alike = [], []
    for position, split in enumerate(SPLITS):
        earlier = [row for row in rows if row.split in SPLITS[:position]]
        hashes = np.array([row.perceptual_hash for row in earlier], np.uint64)
        twins = {row.image_digest: row for row in earlier}
        for row in rows:
            if row.split != split or not earlier:
                continue
            distances = np.bitwise_count(hashes ^ np.uint64(row.perceptual_hash))
            if row.image_digest in twins:
                same.append(f"{_name(row)} and {_name(twins[row.image_digest])}")
            elif distances.min() <= MOST_NEAR_BITS:
                alike.append(f"{_name(row)} and {_name(earlier[distances.argmin()])}")
    if same:
        yield Finding(f"images that are in two splits: {len(same)}", tuple(same))
    if alike:
        yield Finding(f"images that look like one of another split: {len(alike)}", tuple(alike))


def _shared_groups(rows: Sequence[Row]) -> Iterator[Finding]:
    splits_of = defaultdict(set)
    for row in rows:
        splits_of[row.group].add(row.split)
    shared = sorted(group for group, splits in splits_of.items() if len(splits) > 1)
    if shared:
        yield Finding(f"images of one group are in several splits: {', '.join(shared)}")


def _classes(data: Prepared) -> Iterator[Finding]:
    names = data.classes.names
    for split in SPLITS:
        absent = [name for name, count in zip(names, class_images(data.split(split)), strict=True) if not count]
        if absent:
            yield Finding(f"{split} has no pixel of {', '.join(absent)}")
    train = data.split("train")
    counts, shares = class_images(train), class_shares(train)
    few = [f"{name} ({count})" for name, count in zip(names, counts, strict=True) if 0 < count < FEW_IMAGES]
    if few:
        yield Finding(f"only a few training images have {', '.join(few)}")
    rare = [f"{name} ({100 * share:.2g} %)" for name, share in zip(names, shares, strict=True) if 0 < share < RARE]
    if rare:
        yield Finding(f"few training pixels are of {', '.join(rare)}; train.class_weights may help")


def _unlabelled(data: Prepared) -> Iterator[Finding]:
    for split in SPLITS:
        share = ignored_share(data.split(split))
        if share > MOST_IGNORED:
            yield Finding(f"{100 * share:.0f} % of the pixels of {split} have no class")
    empty = tuple(_name(row) for row in data.rows if not any(row.class_pixels))
    if empty:
        yield Finding(f"images without a labelled pixel: {len(empty)}", empty)


def _name(row: Row) -> str:
    return f"{row.split}/{row.name}"
