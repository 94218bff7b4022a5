"""DeepLab v2: context from atrous convolutions at several rates."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from segbench.models.backbones import Backbone
from segbench.models.network import Network, enlarge, size_of


class DeepLabV2(Network):
    """DeepLab v2 of Chen et al.: DeepLab: Semantic image segmentation with deep convolutional nets, atrous
    convolution, and fully connected CRFs, 2016, sec. 3.2 with ResNet-101 (the CRF that follows is a stage of its own).

    The backbone keeps output stride 8. In ASPP, 3x3 convolutions at several rates predict class scores, which are
    summed. Bilinear interpolation enlarges them to the image's size. Of equal rates, the branches are as many, with one
    field of view.

    Differs from the paper: the image is seen at one scale, without the maximum over three scales; the loss is computed
    at the image's size.
    """

    def __init__(self, backbone: Backbone, *, num_classes: int, atrous_rates: Sequence[int]) -> None:
        super().__init__()
        self.backbone = backbone
        self.branches = nn.ModuleList(_scores(backbone.channels[32], num_classes, rate) for rate in atrous_rates)

    def logits(self, images: Tensor) -> Tensor:
        """images (N, 3, H, W) -> logits (N, C, H, W)"""
        features = self.backbone(images)[32]  # (N, channels, H/8, W/8)
        scores = torch.stack([branch(features) for branch in self.branches]).sum(dim=0)  # (N, C, H/8, W/8)
        return enlarge(scores, size_of(images))  # (N, C, H, W)


def _scores(channels: int, num_classes: int, rate: int) -> nn.Conv2d:
    """3x3 atrous convolution to class scores, with weights that start near zero as in the paper's code."""
    convolution = nn.Conv2d(channels, num_classes, 3, padding=rate, dilation=rate)
    nn.init.normal_(convolution.weight, std=0.01)
    nn.init.zeros_(convolution.bias)  # type: ignore[arg-type]
    return convolution
