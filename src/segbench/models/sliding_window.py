"""Sliding window: an image classifier that is applied to the patch around each position."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segbench.models.network import LossTerm, Network, size_of

NORM_MOMENTUM = 0.3
"""Of the running statistics: weights that are not pretrained change so fast that those of ten batches ago mislead."""

TRAINED_EVERY_PX = 4
"""Neighbours share their computations, so that positions closer than those of a prediction cost little."""


class SlidingWindow(Network):
    """A classifier of a patch's centre pixel, slid over the image, in the manner of Ciresan et al.: Deep neural
    networks segment neuronal membranes in electron microscopy images, NeurIPS 2012.

    Two convolutions with pooling and two fully connected layers, without padding, so that a patch's scores depend
    on nothing outside it. `slid_scores` cuts out each patch and classifies it. `scores` turns the fully connected
    layers into convolutions, so that overlapping patches share computations (Long et al. 2015, fig. 2). Both give the
    same scores.

    Differs from the paper: a smaller network, with batch norm, trained on the patches of all positions of an image at
    once, which costs less than random patches that share nothing. It is not the shared backbone, since backbones pad
    inside, which makes the features of a patch differ from those of the same part of an image.

    patch_px: side of a patch, a multiple of 4. stride: pixels between classified positions, a power of 2 up to
    patch_px; bilinear interpolation fills in the pixels between.
    """

    def __init__(
        self, *, num_classes: int, patch_px: int, stride: int, channels: int, hidden_channels: int
    ) -> None:  # fmt: skip
        super().__init__()
        self.patch_px = patch_px
        self.stride = stride
        self.conv1 = nn.Conv2d(3, channels, 5, bias=False)
        self.norm1 = nn.BatchNorm2d(channels, momentum=NORM_MOMENTUM)
        self.conv2 = nn.Conv2d(channels, 2 * channels, 3, bias=False)
        self.norm2 = nn.BatchNorm2d(2 * channels, momentum=NORM_MOMENTUM)
        self.last_px = ((patch_px - 4) // 2 - 2) // 2
        self.fc1 = nn.Linear(2 * channels * self.last_px**2, hidden_channels, bias=False)
        self.norm3 = nn.BatchNorm2d(hidden_channels, momentum=NORM_MOMENTUM)
        self.fc2 = nn.Linear(hidden_channels, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """images (N, 3, H, W) -> logits (N, C, H, W). It needs no padding to whole strides."""
        scores = self.scores(images, stride=self.stride)  # (N, C, H/stride, W/stride)
        logits = _enlarge(scores, self.stride)
        return logits[..., : images.shape[-2], : images.shape[-1]]

    def scores(self, images: Tensor, *, stride: int) -> Tensor:
        """The convolutional form: (N, 3, H, W) -> (N, C, ceil(H / stride), ceil(W / stride))"""
        x, rate = self._around_positions(images, stride), 1
        x = F.relu(self.norm1(self.conv1(x)))
        x, rate = _pool(x, rate=rate, keeps_resolution=stride < 2)
        x = F.relu(self.norm2(F.conv2d(x, self.conv2.weight, dilation=rate)))
        x, rate = _pool(x, rate=rate, keeps_resolution=stride < 4)
        kernel = self.fc1.weight.unflatten(1, (-1, self.last_px, self.last_px))
        x = F.relu(self.norm3(F.conv2d(x, kernel, stride=max(1, stride // 4), dilation=rate)))
        return F.conv2d(x, self.fc2.weight[..., None, None], self.fc2.bias)

    def slid_scores(self, images: Tensor, *, stride: int) -> Tensor:
        """The form that is slid over the image: the same scores, patch by patch, one row of positions at a time."""
        padded, side = self._around_positions(images, stride), self.patch_px
        patches = padded.unfold(2, side, stride).unfold(3, side, stride)  # (N, 3, rows, columns, side, side)
        rows = [self._classify(row.permute(0, 2, 1, 3, 4).flatten(0, 1)) for row in patches.unbind(2)]
        return torch.stack(rows).unflatten(1, (len(images), -1)).permute(1, 3, 0, 2)  # (N, C, rows, columns)

    def loss_terms(self, images: Tensor, label_maps: Tensor) -> list[LossTerm]:
        """The scores of positions at most TRAINED_EVERY_PX apart, to compare with the labels of their pixels."""
        stride = min(self.stride, TRAINED_EVERY_PX)
        labels = label_maps[:, stride // 2 :: stride, stride // 2 :: stride]
        height, width = size_of(labels)
        return [LossTerm(self.scores(images, stride=stride)[..., :height, :width], labels, 1.0)]

    def _classify(self, patches: Tensor) -> Tensor:
        """(P, 3, patch_px, patch_px) -> (P, C) scores of the classes of the centre pixels"""
        x = F.max_pool2d(F.relu(self.norm1(self.conv1(patches))), 2)
        x = F.max_pool2d(F.relu(self.norm2(self.conv2(x))), 2)  # (P, 2 * channels, last_px, last_px)
        x = F.relu(self.norm3(self.fc1(x.flatten(1))[..., None, None]))
        return self.fc2(x.flatten(1))

    def _around_positions(self, images: Tensor, stride: int) -> Tensor:
        """Pad the images by repeating their edges, so that each position has a whole patch around it.

        Positions are the centres of squares of stride x stride px that tile the image from its top left corner.
        """
        before = self.patch_px // 2 - stride // 2
        below, right = (
            -(-side // stride) * stride - stride + self.patch_px - before - side for side in size_of(images)
        )
        return F.pad(images, (before, right, before, below), mode="replicate")


def _pool(x: Tensor, *, rate: int, keeps_resolution: bool) -> tuple[Tensor, int]:
    """2x2 max pooling, and the rate of the layers that follow.

    To keep the resolution, pooling has stride 1 and later layers are atrous at twice the rate: the result is the same.
    """
    if keeps_resolution:
        return F.max_pool2d(x, 2, stride=1, dilation=rate), 2 * rate
    return F.max_pool2d(x, 2), rate


def _enlarge(x: Tensor, factor: int) -> Tensor:
    """Bilinear interpolation: (N, C, h, w) -> (N, C, factor * h, factor * w)"""
    return F.interpolate(x, scale_factor=factor, mode="bilinear", align_corners=False) if factor > 1 else x
