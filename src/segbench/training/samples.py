"""Datasets for torch: the augmented samples that all networks see, and whole images for validation."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from segbench.augment.stream import Stream, damaged, read_recipe, sample_checksum
from segbench.datasets.prepared import Prepared
from segbench.images import RGBImage, scale_image
from segbench.labels import LabelMap
from segbench.training.processes import place_of_process

MOST_PIXEL_IMAGES = 500
RARITY_TEMPERATURE = 0.01
"""The value of DAFormer, with which classes of more than a few per cent of the pixels are hardly ever drawn."""


class AugmentedSamples(Dataset[tuple[Tensor, Tensor]]):
    """The stream of augmented samples: (3, H, W) uint8 images and (H, W) uint8 label maps.

    folder: the output of the augment stage. Stored samples repeat after `recipe.copies` epochs; without stored samples,
    each sample is augmented when it is loaded.
    """

    def __init__(self, folder: Path, prepared: Prepared) -> None:
        self.recipe = read_recipe(folder)
        self.class_pixels = np.array([row.class_pixels for row in prepared.split("train")])
        """(num_images, num_classes) int64"""
        self._sample = _Packed(folder) if self.recipe.copies else Stream(self.recipe, prepared)

    def __len__(self) -> int:
        return len(self.class_pixels)

    def pixels(self) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Pixels of up to MOST_PIXEL_IMAGES samples of the first epoch: (P, 3) RGB colours and (P,) classes."""
        positions = np.linspace(0, len(self) - 1, min(len(self), MOST_PIXEL_IMAGES)).astype(int).tolist()
        images, label_maps = zip(*map(self._sample, positions), strict=True)
        return np.concatenate([image.reshape(-1, 3) for image in images]), np.stack(label_maps).ravel()

    def __getitem__(self, position: int) -> tuple[Tensor, Tensor]:
        image, label_map = self._sample(position)
        return torch.from_numpy(image).permute(2, 0, 1), torch.from_numpy(label_map)


@dataclass(frozen=True)
class _Packed:
    """Stored samples. Each process opens the files itself: an open memory map would be pickled with all its pixels."""

    folder: Path

    def __reduce__(self) -> tuple[type["_Packed"], tuple[Path]]:
        return _Packed, (self.folder,)

    @cached_property
    def _arrays(self) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint32]]:
        try:
            images, label_maps = (
                np.load(self.folder / f"{name}.npy", mmap_mode="r") for name in ("images", "label_maps")
            )
            return images, label_maps, np.load(self.folder / "checksums.npy")
        except (OSError, ValueError, EOFError) as error:
            raise damaged(self.folder, str(error)) from None

    def __call__(self, position: int) -> tuple[RGBImage, LabelMap]:
        images, label_maps, checksums = self._arrays
        index = position % len(images)
        image, label_map = np.array(images[index]), np.array(label_maps[index])
        if sample_checksum(image, label_map) != checksums[index]:
            raise damaged(self.folder, f"the checksum of sample {index} is wrong")
        return image, label_map


def rarity(class_pixels: NDArray[np.int64]) -> NDArray[np.float64]:
    """The probability of drawing each image, (num_images,): first a class is drawn, then an image that shows it.

    The probabilities of the classes are the softmax of -share / RARITY_TEMPERATURE, where share is the class's share of
    all pixels (Hoyer et al.: DAFormer, CVPR 2022, sec. 3.3). A class that no image shows is never drawn.
    class_pixels: (num_images, num_classes).
    """
    shows = class_pixels > 0
    shares = class_pixels.sum(axis=0) / class_pixels.sum()
    of_class = np.where(shows.any(axis=0), np.exp((shares.min() - shares) / RARITY_TEMPERATURE), 0)
    of_image = shows @ (of_class / np.maximum(shows.sum(axis=0), 1))
    return of_image / of_image.sum()


class EpochSampler(Sampler[int]):
    """The positions in the stream that an epoch takes, in an order that depends on seed and epoch alone.

    So a restart changes nothing. Several training processes share the positions evenly. rare_share: the share of the
    samples that are replaced by images drawn by `rarity`, each in the version of a random epoch.
    """

    def __init__(self, class_pixels: NDArray[np.int64], *, seed: int, epochs: int, rare_share: float) -> None:
        self.num_images = len(class_pixels)
        self.seed = seed
        self.epochs = epochs
        self.rare_share = rare_share
        self.probabilities = rarity(class_pixels) if rare_share else None
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Called by the trainer before each epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.num_images // place_of_process()[1]

    def __iter__(self) -> Iterator[int]:
        rng = np.random.default_rng([self.seed, self.epoch])
        order = self.epoch * self.num_images + rng.permutation(self.num_images)
        is_rare = rng.random(self.num_images) < self.rare_share
        images = rng.choice(self.num_images, self.num_images, p=self.probabilities)
        versions = rng.integers(self.epochs, size=self.num_images)
        positions = np.where(is_rare, versions * self.num_images + images, order)
        rank, num_processes = place_of_process()
        return iter(positions[rank::num_processes][: len(self)].tolist())


class WholeImages(Dataset[tuple[Tensor, Tensor]]):
    """A split's images, resized by `scale`: (3, H, W) uint8; label maps at their own size: (H', W') uint8."""

    def __init__(self, prepared: Prepared, split: str, *, scale: float) -> None:
        self.prepared = prepared
        self.rows = prepared.split(split)
        self.scale = scale

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        row = self.rows[index]
        image = scale_image(self.prepared.image(row), scale=self.scale)
        label_map = np.array(self.prepared.label_map(row))
        return torch.from_numpy(np.array(image)).permute(2, 0, 1), torch.from_numpy(label_map)
