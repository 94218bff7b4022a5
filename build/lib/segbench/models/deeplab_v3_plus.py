"""DeepLab v3+: DeepLab v3 with a small decoder."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from segbench.models.backbones import Backbone
from segbench.models.layers import ASPP, ConvBNReLU, SeparableConv
from segbench.models.network import Network, enlarge, size_of


class DeepLabV3Plus(Network):
    """DeepLab v3+ of Chen et al.: Encoder-decoder with atrous separable convolution, 2018, fig. 2.

    The output of DeepLab v3's ASPP is enlarged to stride 4, concatenated with the backbone's low-level feature, which
    a 1x1 convolution has reduced to few channels, refined by two 3x3 separable convolutions, classified, and enlarged
    to the image's size. Without this decoder, the network is DeepLabV3 with the same rates and channels.

    image_pooling: false leaves ASPP's image pooling out.

    Differs from the paper: the convolutions in ASPP are not separable.
    """

    def __init__(
        self, backbone: Backbone, *, num_classes: int, atrous_rates: Sequence[int], image_pooling: bool,
        head_channels: int, low_level_channels: int, dropout: float,
    ) -> None:  # fmt: skip
        super().__init__()
        self.backbone = backbone
        self.aspp = ASPP(
            backbone.channels[32], head_channels,
            atrous_rates=atrous_rates, image_pooling=image_pooling, dropout=dropout,
        )  # fmt: skip
        self.reduce = ConvBNReLU(backbone.channels[4], low_level_channels, 1)
        self.refine = nn.Sequential(
            SeparableConv(head_channels + low_level_channels, head_channels),
            SeparableConv(head_channels, head_channels),
        )
        self.score = nn.Conv2d(head_channels, num_classes, 1)

    def logits(self, images: Tensor) -> Tensor:
        """images (N, 3, H, W) -> logits (N, C, H, W)"""
        features = self.backbone(images)
        low_level = self.reduce(features[4])  # (N, low_level_channels, H/4, W/4)
        context = enlarge(self.aspp(features[32]), size_of(low_level))  # (N, head_channels, H/4, W/4)
        x = self.refine(torch.cat([context, low_level], dim=1))  # (N, head_channels, H/4, W/4)
        return enlarge(self.score(x), size_of(images))  # (N, C, H, W)
