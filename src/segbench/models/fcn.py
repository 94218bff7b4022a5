"""FCN: fully convolutional network."""

from torch import Tensor, nn

from segbench.models.backbones import Backbone
from segbench.models.layers import BilinearUpsampling, ConvBNReLU, TransposedUpsampling, size_of


class FCN(nn.Module):
    """FCN-32s, 16s and 8s of Long, Shelhamer, Darrell: Fully convolutional networks for semantic segmentation,
    CVPR 2015, fig. 3.

    Class scores predicted at stride 32 and at the finer strides down to `stride` are summed from coarse to fine,
    then enlarged `stride` times to the image's size.

    Differs from the paper: fc6 (7x7) and fc7 (1x1) of 4096 channels, which VGG-16 brings along trained, are a 3x3
    and a 1x1 convolution of `head_channels` with batch norm. Trained at once and not in stages; the skip scores
    are not scaled down for that (0.01 and 0.0001), since the backbone's features are batch-normalised. The last
    upsampling is learnt too; the paper fixed it. Padding is 'same' in place of 100 pixels and a crop.
    """

    def __init__(
        self, backbone: Backbone, *, num_classes: int, stride: int, upsampling: str, head_channels: int, dropout: float
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.skip_strides = [skip for skip in (16, 8) if skip >= stride]
        self.head = nn.Sequential(
            ConvBNReLU(backbone.channels[32], head_channels, 3),  # fc6
            nn.Dropout2d(dropout),
            ConvBNReLU(head_channels, head_channels, 1),  # fc7
            nn.Dropout2d(dropout),
        )
        self.score = _score(head_channels, num_classes)
        self.skip_scores = nn.ModuleList(_score(backbone.channels[skip], num_classes) for skip in self.skip_strides)
        self.skip_ups = nn.ModuleList(_upsampling(upsampling, num_classes, factor=2) for _ in self.skip_strides)
        self.last_up = _upsampling(upsampling, num_classes, factor=stride)

    def forward(self, images: Tensor) -> Tensor:
        """images (N, 3, H, W) -> logits (N, C, H, W)"""
        features = self.backbone(images)
        scores = self.score(self.head(features[32]))  # (N, C, H/32, W/32)
        for skip, up, score in zip(self.skip_strides, self.skip_ups, self.skip_scores, strict=True):
            scores = up(scores, size=size_of(features[skip])) + score(features[skip])  # (N, C, H/skip, W/skip)
        logits: Tensor = self.last_up(scores, size=size_of(images))  # (N, C, H, W)
        return logits


def _score(channels: int, num_classes: int) -> nn.Conv2d:
    """1x1 convolution to class scores, which starts at zero as in the paper."""
    convolution = nn.Conv2d(channels, num_classes, 1)
    nn.init.zeros_(convolution.weight)
    nn.init.zeros_(convolution.bias)  # type: ignore[arg-type]
    return convolution


def _upsampling(kind: str, num_classes: int, *, factor: int) -> nn.Module:
    if kind == "bilinear":
        return BilinearUpsampling()
    return TransposedUpsampling(num_classes, factor=factor)
