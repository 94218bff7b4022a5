"""U-Net."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from segbench.models.backbones import Backbone
from segbench.models.layers import ConvBNReLU, size_of


class UNet(nn.Module):
    """U-Net of Ronneberger, Fischer, Brox: Convolutional networks for biomedical image segmentation, 2015, fig. 1.

    The contracting path is the backbone. Each step of the expanding path doubles the size by a 2x2 up-convolution,
    concatenates the backbone's feature of that size, and mixes both by two 3x3 convolutions.

    Differs from the paper: 'same' padding and batch norm; the image itself, at stride 1, gives no feature, so the
    last step has none to concatenate; `decoder_channels` are given and need not halve.
    """

    def __init__(self, backbone: Backbone, *, num_classes: int, decoder_channels: Sequence[int]) -> None:
        super().__init__()
        self.backbone = backbone
        deepest, *skip_strides = sorted(backbone.channels, reverse=True)
        self.skip_strides = skip_strides
        skip_channels = [backbone.channels[stride] for stride in skip_strides] + [0]
        if len(decoder_channels) != len(skip_channels):
            raise ValueError(f"decoder_channels has {len(decoder_channels)} entries; it must have {len(skip_channels)}")
        in_channels = [backbone.channels[deepest], *decoder_channels[:-1]]
        self.steps = nn.ModuleList(map(ExpandingStep, in_channels, skip_channels, decoder_channels))
        self.score = nn.Conv2d(decoder_channels[-1], num_classes, 1)

    def forward(self, images: Tensor) -> Tensor:
        """images (N, 3, H, W) -> logits (N, C, H, W)"""
        features = self.backbone(images)
        x = features[max(features)]  # (N, channels, H/32, W/32)
        for step, stride in zip(self.steps, self.skip_strides, strict=False):
            x = step(x, skip=features[stride], size=size_of(features[stride]))  # (N, channels, H/stride, W/stride)
        x = self.steps[-1](x, skip=None, size=size_of(images))  # (N, channels, H, W)
        logits: Tensor = self.score(x)  # (N, C, H, W)
        return logits


class ExpandingStep(nn.Module):
    """2x2 up-convolution, concatenation with the skip feature, two 3x3 convolutions."""

    def __init__(self, in_channels: int, skip_channels: int, out_channels: int) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(in_channels, out_channels, 2, stride=2)
        self.mix = nn.Sequential(
            ConvBNReLU(out_channels + skip_channels, out_channels, 3),
            ConvBNReLU(out_channels, out_channels, 3),
        )

    def forward(self, x: Tensor, *, skip: Tensor | None, size: tuple[int, int]) -> Tensor:
        """(N, in_channels, h, w) and (N, skip_channels, *size) -> (N, out_channels, *size); size at most 2 * (h, w)"""
        x = self.up(x)[..., : size[0], : size[1]]
        if skip is not None:
            x = torch.cat([x, skip], dim=1)
        mixed: Tensor = self.mix(x)
        return mixed
