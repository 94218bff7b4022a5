"""The frame of a network, and what all networks do to sizes."""

from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F


class LossTerm(NamedTuple):
    """What training compares: logits (N, C, h, w) with label_maps (N, h, w), and how much that counts."""

    logits: Tensor
    label_maps: Tensor
    weight: float


DEEPEST = 32
"""The deepest stride: an image whose sides are multiples of it divides evenly at every stride."""
BORDER = 127 / 255
"""Grey, as the border of training samples that are smaller than their crop."""


class Network(nn.Module):
    """A model that is trained step by step: images (N, 3, H, W) float RGB in 0..1 -> logits (N, C, H, W).

    A subclass has `logits`, which sees images padded to whole strides. A strided convolution puts its output between
    other pixels when its input is odd than when it is even; without padding, features would lie up to half a stride
    elsewhere in test images than in the crops that the network was trained on.
    """

    def forward(self, images: Tensor) -> Tensor:
        """images (N, 3, H, W) -> logits (N, C, H, W)"""
        return cut(self.logits(pad_to_whole_strides(images)), size_of(images))

    def logits(self, images: Tensor) -> Tensor:
        """images (N, 3, H, W) -> logits (N, C, H, W), where H and W are multiples of DEEPEST"""
        raise NotImplementedError

    def loss_terms(self, images: Tensor, label_maps: Tensor) -> list[LossTerm]:
        """What the training loss sums up; the logits alone, unless a model says otherwise.

        images: (N, 3, H, W) float RGB in 0..1; label_maps: (N, H, W)
        """
        return [LossTerm(self(images), label_maps, 1.0)]


def pad_to_whole_strides(images: Tensor) -> Tensor:
    """(N, 3, H, W) -> the same with a grey border at the right and below, up to multiples of DEEPEST"""
    below, right = (-side % DEEPEST for side in size_of(images))
    return F.pad(images, (0, right, 0, below), value=BORDER) if below or right else images


def cut(x: Tensor, size: tuple[int, int]) -> Tensor:
    """(N, C, H, W) -> (N, C, *size), its top left part"""
    return x[..., : size[0], : size[1]]


@runtime_checkable
class FittedOnPixels(Protocol):
    """A model that is fitted at once to pixels, not trained step by step."""

    def fit(self, colors: NDArray[np.uint8], classes: NDArray[np.uint8], *, seed: int) -> None:
        """colors: (P, 3) RGB; classes: (P,) class indices or IGNORE_INDEX."""


@runtime_checkable
class Sliding(Protocol):
    """A classifier of patches with two forms that give the same scores: slid patch by patch, and convolutional."""

    def scores(self, images: Tensor, *, stride: int) -> Tensor:
        """The convolutional form: (N, 3, H, W) -> (N, C, ceil(H / stride), ceil(W / stride))"""

    def slid_scores(self, images: Tensor, *, stride: int) -> Tensor:
        """The same, patch by patch."""


def enlarge(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Bilinear interpolation: (N, C, h, w) -> (N, C, *size)"""
    return F.interpolate(x, size=size, mode="bilinear", align_corners=False)


def size_of(x: Tensor) -> tuple[int, int]:
    """(height, width) in pixels of a (..., H, W) tensor."""
    return x.shape[-2], x.shape[-1]
