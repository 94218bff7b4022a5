"""PSPNet: context by pooling over a pyramid of regions."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from segbench.models.backbones import Backbone, Features
from segbench.models.layers import ConvBNReLU
from segbench.models.network import LossTerm, Network, cut, enlarge, pad_to_whole_strides, size_of


class PSPNet(Network):
    """PSPNet of Zhao et al.: Pyramid scene parsing network, CVPR 2017, fig. 3, and its auxiliary loss, fig. 4.

    The backbone keeps output stride 8. Its last feature is concatenated with its averages over grids of `bins` regions
    (1, 2x2, 3x3 and 6x6 in the paper), mixed by a 3x3 convolution, classified, and enlarged bilinearly to the image's
    size. In training, a small FCN on the stage before the last adds an auxiliary loss.

    bins: an empty list leaves the pyramid out, and the 3x3 convolution sees the last feature alone. auxiliary_weight: 0
    leaves the auxiliary loss out.
    """

    def __init__(
        self, backbone: Backbone, *, num_classes: int, bins: Sequence[int], head_channels: int, dropout: float,
        auxiliary_channels: int, auxiliary_weight: float,
    ) -> None:  # fmt: skip
        super().__init__()
        self.backbone = backbone
        self.pyramid = PyramidPooling(backbone.channels[32], bins)
        self.head = _fcn_head(self.pyramid.out_channels, head_channels, num_classes, dropout)
        self.auxiliary_head = _fcn_head(backbone.channels[16], auxiliary_channels, num_classes, dropout)
        self.auxiliary_weight = auxiliary_weight

    def logits(self, images: Tensor) -> Tensor:
        """images (N, 3, H, W) -> logits (N, C, H, W)"""
        return self._logits(self.backbone(images), size_of(images))

    def loss_terms(self, images: Tensor, label_maps: Tensor) -> list[LossTerm]:
        """The logits, and those of the stage before the last with the auxiliary weight."""
        padded = pad_to_whole_strides(images)
        features, size = self.backbone(padded), size_of(padded)
        auxiliary_logits = enlarge(self.auxiliary_head(features[16]), size)
        return [
            LossTerm(cut(self._logits(features, size), size_of(images)), label_maps, 1.0),
            LossTerm(cut(auxiliary_logits, size_of(images)), label_maps, self.auxiliary_weight),
        ]

    def _logits(self, features: Features, size: tuple[int, int]) -> Tensor:
        context = self.pyramid(features[32])  # (N, 2 * channels, H/8, W/8)
        return enlarge(self.head(context), size)  # (N, C, H, W)


class PyramidPooling(nn.Module):
    """A feature with its averages over grids of regions, each reduced to an equal share of the feature's channels."""

    def __init__(self, channels: int, bins: Sequence[int]) -> None:
        super().__init__()
        reduced = channels // max(1, len(bins))
        self.levels = nn.ModuleList(
            nn.Sequential(nn.AdaptiveAvgPool2d(num_bins), ConvBNReLU(channels, reduced, 1)) for num_bins in bins
        )
        self.out_channels = channels + len(bins) * reduced

    def forward(self, features: Tensor) -> Tensor:
        """(N, channels, h, w) -> (N, out_channels, h, w)"""
        levels = [enlarge(level(features), size_of(features)) for level in self.levels]
        return torch.cat([features, *levels], dim=1)


def _fcn_head(in_channels: int, channels: int, num_classes: int, dropout: float) -> nn.Sequential:
    """3x3 convolution, dropout, 1x1 classifier."""
    return nn.Sequential(ConvBNReLU(in_channels, channels, 3), nn.Dropout(dropout), nn.Conv2d(channels, num_classes, 1))
