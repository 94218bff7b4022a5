"""The base class of networks, protocols of special ones, and resizing that all share."""

from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F


class LossTerm(NamedTuple):
    """Logits (N, C, h, w) that training compares with label maps (N, h, w), and the weight of that loss in the sum."""

    logits: Tensor
    label_maps: Tensor
    weight: float


DEEPEST = 32
"""The largest stride. Sides that are multiples of it divide evenly at every stride."""
BORDER = 127 / 255
"""Grey, like the border of training images that are smaller than the crop."""


class Network(nn.Module):
    """A model that is trained step by step: images (N, 3, H, W) float RGB in 0..1 -> logits (N, C, H, W).

    Subclasses implement `logits`, which gets images padded to multiples of DEEPEST. Whether the side of its input is
    odd or even decides where a strided convolution places its output; without padding, features of test images could
    lie up to half a stride away from where those of the training crops lie.
    """

    def forward(self, images: Tensor) -> Tensor:
        """images (N, 3, H, W) -> logits (N, C, H, W)"""
        return cut(self.logits(pad_to_whole_strides(images)), size_of(images))

    def logits(self, images: Tensor) -> Tensor:
        """images (N, 3, H, W) -> logits (N, C, H, W), where H and W are multiples of DEEPEST"""
        raise NotImplementedError

    def loss_terms(self, images: Tensor, label_maps: Tensor) -> list[LossTerm]:
        """The terms that the training loss sums up: the logits alone, unless a model overrides this.

        images: (N, 3, H, W) float RGB in 0..1; label_maps: (N, H, W)
        """
        return [LossTerm(self(images), label_maps, 1.0)]


def pad_to_whole_strides(images: Tensor) -> Tensor:
    """(N, 3, H, W) -> the same with a grey border at the right and below, with sides that are multiples of DEEPEST"""
    below, right = (-side % DEEPEST for side in size_of(images))
    return F.pad(images, (0, right, 0, below), value=BORDER) if below or right else images


def cut(x: Tensor, size: tuple[int, int]) -> Tensor:
    """(N, C, H, W) -> (N, C, *size), the top left part"""
    return x[..., : size[0], : size[1]]


@runtime_checkable
class FittedOnPixels(Protocol):
    """A model that is fitted to pixels in one go, not trained step by step."""

    def fit(self, colors: NDArray[np.uint8], classes: NDArray[np.uint8], *, seed: int) -> None:
        """Fit to pixels. colors: (P, 3) uint8 RGB; classes: (P,) uint8 class indices or IGNORE_INDEX."""


@runtime_checkable
class Sliding(Protocol):
    """A classifier of patches in two forms with the same scores: slid over the image, and convolutional."""

    def scores(self, images: Tensor, *, stride: int) -> Tensor:
        """The convolutional form: (N, 3, H, W) -> (N, C, ceil(H / stride), ceil(W / stride))"""

    def slid_scores(self, images: Tensor, *, stride: int) -> Tensor:
        """The form that is slid over the image: the same scores, patch by patch."""


def enlarge(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Bilinear interpolation: (N, C, h, w) -> (N, C, *size)"""
    return F.interpolate(x, size=size, mode="bilinear", align_corners=False)


def size_of(x: Tensor) -> tuple[int, int]:
    """(height, width) in pixels of a (..., H, W) tensor."""
    return x.shape[-2], x.shape[-1]
