"""Counts to try the statistics on: of a given accuracy, or of a population whose true scores are known."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from segbench.scoring.counts import SplitCounts
from segbench.scoring.metrics import ClassPixels, Counts, Fractions


def confusions_of(rng: np.random.Generator, *, accuracy: float, num_seeds: int = 1, num_images: int = 40) -> Counts:
    """(num_seeds, num_images, 3, 3): about that share of each class's 100 pixels per image is right."""
    wrong = (1 - accuracy) / 2
    shares = np.full((3, 3), wrong) + np.eye(3) * (accuracy - wrong)
    return rng.multinomial(100, shares, (num_seeds, num_images, 3))


def pixels(confusions: Counts) -> ClassPixels:
    """The pixels by class of (num_seeds, num_images, C, C), whose true ones are the same for each seed."""
    found = ClassPixels.of(confusions)
    return ClassPixels(found.true[0], found.predicted, found.correct)


def split_counts(confusions: Counts, *, near_boundaries: Counts | None = None) -> SplitCounts:
    """From confusion matrices of each seed and image; near_boundaries: of each seed and width, none by default."""
    near = confusions[:, :0] if near_boundaries is None else near_boundaries
    return SplitCounts(pixels(confusions), confusions.sum(axis=1), pixels(near))


@dataclass(frozen=True)
class Population:
    """Images whose difficulty, sizes and errors vary, and resemble each other within a block.

    Six classes, from one on every image to one on few. A model's errors depend on the image's difficulty, which all
    models share, and on the model itself.
    """

    images_per_block: int = 1

    presence = np.array([1, 1, 0.8, 0.5, 0.3, 0.15])
    size = np.array([4, 3, 1, 0.5, 0.3, 0.1])
    skill = np.array([3, 2.5, 1.5, 1, 0.5, 0])
    correlation = 0.6

    def sample(
        self, rng: np.random.Generator, num_blocks: int, num_models: int = 1, *, extra_skill: Sequence[float] = ()
    ) -> Counts:
        """(num_models, num_blocks * images_per_block, 6, 6). extra_skill: of each model, none by default."""
        num_images = num_blocks * self.images_per_block

        def normal(*shape: int) -> Fractions:
            of_block = rng.standard_normal((num_blocks, *shape)).repeat(self.images_per_block, axis=0)
            of_image = rng.standard_normal((num_images, *shape))
            return np.sqrt(self.correlation) * of_block + np.sqrt(1 - self.correlation) * of_image

        present = (rng.random((num_blocks, 6)) < self.presence).repeat(self.images_per_block, axis=0)
        sizes = present * self.size * np.exp(0.8 * normal(6))
        pixels = np.round(10_000 * sizes / sizes.sum(axis=1, keepdims=True))
        difficulty = 0.8 * normal(1) + 0.5 * normal(6)
        counts = np.empty((num_models, num_images, 6, 6), np.int64)
        for of_model, extra in zip(counts, extra_skill or [0.0] * num_models, strict=True):
            right = np.round(pixels / (1 + np.exp(-self.skill - extra - difficulty - 0.5 * normal(6))))
            taken_for = np.sqrt(self.size) * np.exp(0.5 * normal(6))
            shares = np.where(np.eye(6), 0, taken_for[:, np.newaxis])
            of_model[:] = (pixels - right)[:, :, np.newaxis] * shares / shares.sum(axis=2, keepdims=True)
            lost = pixels - right - of_model.sum(axis=2)
            of_model += (np.eye(6) * (right + lost)[:, :, np.newaxis]).astype(np.int64)
        return counts
