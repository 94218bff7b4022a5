"""How sure a difference between two models is, from confusion matrices of single images."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segbench.metrics import Counts, Fractions

NUM_RESAMPLES = 2000
INTERVAL = (2.5, 97.5)
"""Percentiles of a 95 % interval."""


@dataclass(frozen=True)
class Difference:
    """Two models' scores as fractions, and the 95 % interval of the first minus the second."""

    first: float
    second: float
    low: float
    high: float


def paired_difference(first: Counts, second: Counts, *, classes: Sequence[int], seed: int) -> Difference:
    """The mean IoU over `classes` of two models on the same images, with a paired percentile bootstrap over images.

    first, second: (num_images, C, C) confusion matrices, an image's in the same place. A resample draws as many
    images as there are, with replacement, and gives both models the same ones; classes without a pixel are left out.
    """
    num_images = len(first)
    weights = np.random.default_rng(seed).multinomial(num_images, np.full(num_images, 1 / num_images), NUM_RESAMPLES)
    differences = _mean_iou(first, weights, classes) - _mean_iou(second, weights, classes)
    low, high = np.nanpercentile(differences, INTERVAL)
    every_image_once = np.ones((1, num_images), np.int64)
    return Difference(
        first=float(_mean_iou(first, every_image_once, classes)[0]),
        second=float(_mean_iou(second, every_image_once, classes)[0]),
        low=float(low),
        high=float(high),
    )


def _mean_iou(confusions: Counts, weights: NDArray[np.int64], classes: Sequence[int]) -> Fractions:
    """(R,) mean IoU of R weighted sums of images; weights: (R, num_images)"""
    correct, true, predicted = (
        (weights @ pixels.astype(np.float64))[:, classes]  # (R, len(classes))
        for pixels in (np.diagonal(confusions, axis1=1, axis2=2), confusions.sum(axis=2), confusions.sum(axis=1))
    )
    union = true + predicted - correct
    iou = np.divide(correct, union, out=np.full(union.shape, np.nan), where=union > 0)
    has_pixels = np.isfinite(iou).any(axis=1)
    mean = np.full(len(iou), np.nan)
    mean[has_pixels] = np.nanmean(iou[has_pixels], axis=1)
    return mean
