"""U-Net: a decoder that mirrors the encoder, with skip connections between them."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segbench.models.backbones import Backbone, Features
from segbench.models.layers import ConvBNReLU, ConvReLU
from segbench.models.network import Network, size_of


class UNet(Network):
    """U-Net of Ronneberger, Fischer, Brox: Convolutional networks for biomedical image segmentation, 2015, fig. 1.

    The contracting path is the backbone, or the paper's own. Each step of the expanding path doubles the size by a
    2x2 up-convolution, concatenates the contracting path's feature of that size, and mixes both by two 3x3
    convolutions. A last 1x1 convolution predicts the scores.

    Differs from the paper: padding is 'same'; no dropout; batch norm if `batch_norm` is set; `decoder_channels`, one
    entry per step, need not halve; a step concatenates nothing if the backbone has no feature of its size, as most
    have none at stride 1.

    skips: false leaves the concatenations out: the same steps, without the contracting path's features.
    """

    def __init__(
        self, backbone: "Backbone | ContractingPath", *, num_classes: int, decoder_channels: Sequence[int],
        batch_norm: bool, skips: bool,
    ) -> None:  # fmt: skip
        super().__init__()
        self.backbone = backbone
        self.skip_channels = backbone.channels if skips else {}
        self.deepest = max(backbone.channels)
        self.strides = [self.deepest >> step for step in range(1, self.deepest.bit_length())]
        in_channels = [backbone.channels[self.deepest], *decoder_channels]
        self.steps = nn.ModuleList(
            ExpandingStep(before, self.skip_channels.get(stride, 0), after, batch_norm=batch_norm)
            for stride, before, after in zip(self.strides, in_channels[:-1], decoder_channels, strict=True)
        )
        self.score = nn.Conv2d(decoder_channels[-1], num_classes, 1)

    def logits(self, images: Tensor) -> Tensor:
        """images (N, 3, H, W) -> logits (N, C, H, W)"""
        features = self.backbone(images)
        x = features[self.deepest]  # (N, channels, H/32, W/32)
        for stride, step in zip(self.strides, self.steps, strict=True):
            height, width = (-(-side // stride) for side in size_of(images))
            skip = features[stride] if stride in self.skip_channels else None
            x = step(x, skip=skip, size=(height, width))  # (N, channels, H/stride, W/stride)
        logits: Tensor = self.score(x)  # (N, C, H, W)
        return logits


class ExpandingStep(nn.Module):
    """2x2 up-convolution, concatenation with the skip feature, two 3x3 convolutions."""

    def __init__(self, in_channels: int, skip_channels: int, out_channels: int, *, batch_norm: bool) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(in_channels, out_channels, 2, stride=2)
        self.mix = _two_convolutions(out_channels + skip_channels, out_channels, batch_norm=batch_norm)

    def forward(self, x: Tensor, *, skip: Tensor | None, size: tuple[int, int]) -> Tensor:
        """(N, in_channels, h, w) and (N, skip_channels, *size) -> (N, out_channels, *size); size: at most 2 * (h, w)"""
        x = self.up(x)[..., : size[0], : size[1]]
        if skip is not None:
            x = torch.cat([x, skip], dim=1)
        mixed: Tensor = self.mix(x)
        return mixed


class ContractingPath(nn.Module):
    """The paper's own contracting path: two 3x3 convolutions per level, 2x2 max pooling between levels."""

    def __init__(self, *, channels: int, batch_norm: bool) -> None:
        super().__init__()
        self.channels = {2**level: channels * 2**level for level in range(5)}
        """Number of channels by stride: 64 to 1024 in the paper."""
        in_channels = [3, *self.channels.values()]
        self.levels = nn.ModuleList(
            _two_convolutions(before, after, batch_norm=batch_norm)
            for before, after in zip(in_channels, self.channels.values(), strict=False)
        )

    def forward(self, images: Tensor) -> Features:
        """(N, 3, H, W) float RGB in 0..1 -> features of ceil(H / stride) x ceil(W / stride), by stride"""
        x, features = 2 * images - 1, {}
        for stride, level in zip(self.channels, self.levels, strict=True):
            x = level(x if stride == 1 else F.max_pool2d(x, 2, ceil_mode=True))  # (N, channels, H/stride, W/stride)
            features[stride] = x
        return features


def _two_convolutions(in_channels: int, out_channels: int, *, batch_norm: bool) -> nn.Sequential:
    layer = ConvBNReLU if batch_norm else ConvReLU
    return nn.Sequential(layer(in_channels, out_channels, 3), layer(out_channels, out_channels, 3))
