"""Which test images resamples draw together: clips of a video, as long as the images' errors resemble each other."""

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from segbench.datasets.prepared import Row
from segbench.scoring.bootstrap import BlockSample
from segbench.scoring.measures import Measure
from segbench.scoring.metrics import ClassPixels, Fractions

LEAST_BLOCKS = 10
"""Fewer blocks give an unreliable standard error."""


@dataclass(frozen=True)
class Clips:
    """Test images in the order of the manifest, and the smallest blocks that a dataset divides them into.

    groups, clips: one id per image. A group of several clips, some of which hold several images, is a sequence:
    neighbouring clips may be joined. Other images stay in the blocks that they have.
    """

    groups: Sequence[Hashable]
    clips: Sequence[Hashable]

    @classmethod
    def of(cls, rows: Sequence[Row]) -> "Clips":
        """The images as a prepared dataset has them."""
        return cls([row.group for row in rows], [row.block for row in rows])

    @property
    def sequences(self) -> list[list[int]]:
        """The places of each sequence's images."""
        places: dict[Hashable, list[int]] = {}
        for place, group in enumerate(self.groups):
            places.setdefault(group, []).append(place)
        return [images for images in places.values() if 1 < len({self.clips[image] for image in images}) < len(images)]

    def joined(self, number: int) -> list[Hashable]:
        """One block id per image, with so many neighbouring clips of a sequence in a block."""
        blocks: list[Hashable] = [(clip,) for clip in self.clips]
        for index, images in enumerate(self.sequences):
            place_of = {clip: place for place, clip in enumerate(dict.fromkeys(self.clips[image] for image in images))}
            for image in images:
                blocks[image] = (index, place_of[self.clips[image]] // number)
        return blocks


@dataclass(frozen=True)
class Blocks:
    """The blocks that resamples draw, one id per image, and twice as long ones, to see whether results depend on it.

    images_alike: how many images in a row the errors ask a block to hold, and images_per_block: how many it holds, at
    the median; None without sequences of images. twice_as_long: None if there are no sequences, or if fewer than half
    of LEAST_BLOCKS would be left.
    """

    ids: list[Hashable]
    images_alike: float | None
    images_per_block: float | None
    twice_as_long: list[Hashable] | None

    @property
    def number(self) -> int:
        """How many blocks there are."""
        return len(set(self.ids))


def choose_blocks(counts: Mapping[str, ClassPixels], clips: Clips) -> Blocks:
    """Join as many clips as the errors ask for, but leave LEAST_BLOCKS.

    counts: of each image by entry, as for `intervals.analyse`. The errors are the images' influences on the mean IoU.
    """
    sequences = clips.sequences
    if not sequences:
        return Blocks(clips.joined(1), None, None, None)
    influences = BlockSample.of(counts).influences([Measure("mIoU")])[:, 0]
    images_alike = block_length([influences[images] for images in sequences])
    in_sequences = sum(map(len, sequences))
    num_clips = len({clips.clips[image] for images in sequences for image in images})
    number = max(1, math.ceil(images_alike * num_clips / in_sequences))
    while number > 1 and len(set(clips.joined(number))) < LEAST_BLOCKS:
        number -= 1
    ids, twice = clips.joined(number), clips.joined(2 * number)
    _, images_per_block = np.unique(
        [ids.index(ids[image]) for images in sequences for image in images], return_counts=True
    )
    return Blocks(
        ids, images_alike, float(np.median(images_per_block)), twice if len(set(twice)) >= LEAST_BLOCKS // 2 else None
    )


def block_length(errors: Sequence[Fractions]) -> float:
    """The length of blocks with the least mean squared error of the variance, in images; 1 for independent errors.

    errors: (num_images, num_entries) of each sequence, with mean zero over all. Politis and White 2004, Automatic
    Block-Length Selection for the Dependent Bootstrap, with the correction of Patton, Politis and White 2009 (circular
    blocks). The autocorrelation is the mean over entries.
    """
    num_images = sum(map(len, errors))
    most_lags = max(map(len, errors)) - 1
    products = np.zeros((most_lags + 1, errors[0].shape[1]))
    for of_sequence in errors:
        for lag in range(len(of_sequence)):
            products[lag] += (of_sequence[: len(of_sequence) - lag] * of_sequence[lag:]).sum(axis=0)
    varies = products[0] > 0
    if not varies.any():
        return 1
    correlation = (products[:, varies] / products[0, varies]).mean(axis=1)
    noise = 2 * math.sqrt(math.log10(num_images) / num_images)
    in_a_row = max(5, math.ceil(math.sqrt(math.log10(num_images))))
    last = next(
        (lag for lag in range(most_lags) if (np.abs(correlation[lag + 1 : lag + 1 + in_a_row]) < noise).all()),
        most_lags // 2,
    )  # the last lag with a correlation beyond noise
    lags = np.arange(1, min(2 * last, most_lags) + 1)
    if not last or not len(lags):
        return 1
    kept = np.minimum(1, 2 * (1 - lags / (2 * last))) * correlation[lags]  # the flat-top window
    spectrum, slope = 1 + 2 * kept.sum(), 2 * (lags * kept).sum()
    longest = math.ceil(min(3 * math.sqrt(num_images), num_images / 3))
    if spectrum <= 0:
        return longest
    return float(min(max(1, (1.5 * (slope / spectrum) ** 2 * num_images) ** (1 / 3)), longest))
