"""What training minimises: a weighted sum of losses, each over the labelled pixels alone; and weights of classes."""

from collections.abc import Callable, Mapping

import numpy as np
import torch
from kornia.losses import dice_loss, focal_loss
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from segbench import params
from segbench.labels import IGNORE_INDEX

FOCAL_GAMMA = 2.0
"""The value that Lin et al. chose."""


def weighted_sum(
    logits: Tensor, label_maps: Tensor, *, terms: Mapping[params.LossName, float], class_weights: Tensor | None
) -> Tensor:
    """The sum of the named losses times their weights; zero, not NaN, for a batch without a labelled pixel.

    logits: (N, C, H, W) float32; label_maps: (N, H, W); class_weights: (C,), or None for equal ones.
    """
    targets = label_maps.long()
    return torch.stack([weight * LOSSES[name](logits, targets, class_weights) for name, weight in terms.items()]).sum()


def cross_entropy(logits: Tensor, targets: Tensor, class_weights: Tensor | None) -> Tensor:
    """The mean over pixels, weighted by their classes."""
    total = F.cross_entropy(logits, targets, weight=class_weights, ignore_index=IGNORE_INDEX, reduction="sum")
    return total / _weight(targets, class_weights)


def focal(logits: Tensor, targets: Tensor, class_weights: Tensor | None) -> Tensor:
    """The mean over pixels, weighted by their classes, of (1 - p)^gamma * -log(p).

    p is the softmax probability of the true class. Lin et al.: Focal loss for dense object detection, ICCV 2017.
    """
    # Summed here and divided below, since kornia's mean counts ignored pixels too.
    total = focal_loss(
        logits, targets, alpha=None, gamma=FOCAL_GAMMA, reduction="sum", weight=class_weights, ignore_index=IGNORE_INDEX
    )
    return total / _weight(targets, class_weights)


def dice(logits: Tensor, targets: Tensor, class_weights: Tensor | None) -> Tensor:
    """The weighted mean over the classes present of 1 - Dice of their softmax probabilities.

    Counted over the batch as one image, as scores are over a split. Milletari et al.: V-Net, 3DV 2016, squares the
    probabilities in the denominator; this does not.
    """
    images_below_each_other = logits.transpose(0, 1).flatten(1, 2)[None]  # (1, C, N * H, W)
    loss = dice_loss(
        images_below_each_other, targets.flatten(0, 1)[None], average="macro", weight=class_weights,
        ignore_index=IGNORE_INDEX,
    )  # fmt: skip
    return loss * (targets != IGNORE_INDEX).any()


LOSSES: dict[params.LossName, Callable[[Tensor, Tensor, Tensor | None], Tensor]] = {
    "cross_entropy": cross_entropy,
    "dice": dice,
    "focal": focal,
}


def _weight(targets: Tensor, class_weights: Tensor | None) -> float:
    """The number of labelled pixels, each weighted by its class; a little above zero if there are none."""
    labelled = targets[targets != IGNORE_INDEX]
    weight = labelled.numel() if class_weights is None else class_weights[labelled].sum()
    return max(float(weight), 1e-6)


def loss_class_weights(kind: str, class_pixels: NDArray[np.int64]) -> Tensor | None:
    """(num_classes,) float32 weights with mean one over the classes that are present, or None if `kind` is none.

    class_pixels: (num_images, num_classes). inverse_frequency weighs a class by one over its share of all pixels;
    median_frequency (Eigen and Fergus 2015) by one over its share in the images that show it. An absent class weighs 0.
    """
    if kind == "none":
        return None
    totals = class_pixels.sum(axis=0)
    pixels = class_pixels.sum(axis=1, keepdims=True)
    seen = (pixels * (class_pixels > 0)).sum(axis=0) if kind == "median_frequency" else pixels.sum()
    present = totals > 0
    weights = np.divide(seen, totals, out=np.zeros(totals.shape), where=present)
    return torch.tensor(weights / weights[present].mean(), dtype=torch.float32)
