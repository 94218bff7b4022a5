"""What training minimises: a weighted sum of losses over the labelled pixels; and the weights of the classes."""

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
"""The value of Lin et al."""


def weighted_sum(
    logits: Tensor, label_maps: Tensor, *, terms: Mapping[params.LossName, float], class_weights: Tensor | None
) -> Tensor:
    """The weighted sum of the named losses; zero, not NaN, for a batch without a labelled pixel.

    logits: (N, C, H, W) float32; label_maps: (N, H, W). terms: the weight of each loss in the sum; class_weights: (C,),
    the weight of each class within a loss, None for equal ones.
    """
    targets = label_maps.long()
    return torch.stack([weight * LOSSES[name](logits, targets, class_weights) for name, weight in terms.items()]).sum()


def cross_entropy(logits: Tensor, targets: Tensor, class_weights: Tensor | None) -> Tensor:
    """The mean over pixels, weighted by class, of -log(p). p is the softmax probability of the true class."""
    total = F.cross_entropy(logits, targets, weight=class_weights, ignore_index=IGNORE_INDEX, reduction="sum")
    return total / _weighted_pixels(targets, class_weights)


def focal(logits: Tensor, targets: Tensor, class_weights: Tensor | None) -> Tensor:
    """The mean over pixels, weighted by class, of (1 - p)^gamma * -log(p), with p as in `cross_entropy`.

    Lin et al.: Focal loss for dense object detection, ICCV 2017.
    """
    # The mean is taken here, since kornia's counts ignored pixels too.
    total = focal_loss(
        logits, targets, alpha=None, gamma=FOCAL_GAMMA, reduction="sum", weight=class_weights, ignore_index=IGNORE_INDEX
    )
    return total / _weighted_pixels(targets, class_weights)


def dice(logits: Tensor, targets: Tensor, class_weights: Tensor | None) -> Tensor:
    """The mean of 1 - Dice of the softmax probabilities over the classes present, weighted by class.

    Dice is computed over the whole batch at once, as scores are over a split. Differs from Milletari et al.: V-Net,
    3DV 2016, who square the probabilities in the denominator.
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


def _weighted_pixels(targets: Tensor, class_weights: Tensor | None) -> float:
    """The number of labelled pixels, each counted by the weight of its class; just above zero if there are none."""
    labelled = targets[targets != IGNORE_INDEX]
    total = labelled.numel() if class_weights is None else class_weights[labelled].sum()
    return max(float(total), 1e-6)


def loss_class_weights(kind: str, class_pixels: NDArray[np.int64]) -> Tensor | None:
    """The weight of each class in the loss, (num_classes,) float32, or None if `kind` is none.

    inverse_frequency: one over the class's share of all pixels; median_frequency: one over its share of the pixels of
    the images that show it (Eigen and Fergus 2015). Scaled to mean one over the classes present; an absent class has 0.
    class_pixels: (num_images, num_classes).
    """
    if kind == "none":
        return None
    totals = class_pixels.sum(axis=0)
    pixels = class_pixels.sum(axis=1, keepdims=True)
    seen = (pixels * (class_pixels > 0)).sum(axis=0) if kind == "median_frequency" else pixels.sum()
    present = totals > 0
    class_weights = np.divide(seen, totals, out=np.zeros(totals.shape), where=present)
    return torch.tensor(class_weights / class_weights[present].mean(), dtype=torch.float32)
