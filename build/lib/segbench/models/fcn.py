"""FCN: fully convolutional network."""

from collections.abc import Sequence

from torch import Tensor, nn

from segbench.models.backbones import Backbone
from segbench.models.layers import BilinearUpsampling, ConvBNReLU, ConvReLU, TransposedUpsampling
from segbench.models.network import Network, size_of


class FCN(Network):
    """FCN-32s, 16s and 8s of Long, Shelhamer, Darrell: Fully convolutional networks for semantic segmentation,
    CVPR 2015, fig. 3.

    Class scores at stride 32 and at the finer strides down to `stride` are summed from coarse to fine, then enlarged
    `stride` times to the image's size. Between the backbone and the scores at stride 32 are fc6, a convolution of
    `fc6_kernel_px`, and fc7, a 1x1 convolution, both with `head_channels`: 7 and 4096 in the paper.

    All strides are trained at once, as in the paper's later code. For that, it multiplies the features of stride 16
    and 8 by 0.01 and 0.0001 before scoring (`skip_scales`); batch-normalised features do not need it.

    Differs from the paper: fc6 and fc7 start at random, where the paper takes them trained from VGG-16, and have batch
    norm if `batch_norm` is set. The skip features are the backbone's last ones of their stride, in VGG-16 conv5_3 and
    conv4_3, where the paper takes pool4 and pool3. The last transposed upsampling is learnt, too; the paper keeps it
    fixed. Padding is 'same', where the paper pads 100 pixels and crops.
    """

    def __init__(
        self, backbone: Backbone, *, num_classes: int, stride: int, upsampling: str, fc6_kernel_px: int,
        head_channels: int, dropout: float, batch_norm: bool, skip_scales: Sequence[float],
    ) -> None:  # fmt: skip
        super().__init__()
        self.backbone = backbone
        self.skip_strides = [skip for skip in (16, 8) if skip >= stride]
        self.skip_scales = skip_scales
        layer = ConvBNReLU if batch_norm else ConvReLU
        self.head = nn.Sequential(
            layer(backbone.channels[32], head_channels, fc6_kernel_px),  # fc6
            nn.Dropout(dropout),
            layer(head_channels, head_channels, 1),  # fc7
            nn.Dropout(dropout),
        )
        self.score = _score(head_channels, num_classes)
        self.skip_scores = nn.ModuleList(_score(backbone.channels[skip], num_classes) for skip in self.skip_strides)
        self.skip_ups = nn.ModuleList(_upsampling(upsampling, num_classes, factor=2) for _ in self.skip_strides)
        self.last_up = _upsampling(upsampling, num_classes, factor=stride)

    def logits(self, images: Tensor) -> Tensor:
        """images (N, 3, H, W) -> logits (N, C, H, W)"""
        features = self.backbone(images)
        scores = self.score(self.head(features[32]))  # (N, C, H/32, W/32)
        skips = zip(self.skip_strides, self.skip_scales, self.skip_ups, self.skip_scores, strict=False)
        for stride, scale, up, score in skips:
            finer = score(scale * features[stride])
            scores = up(scores, size=size_of(finer)) + finer  # (N, C, H/stride, W/stride)
        logits: Tensor = self.last_up(scores, size=size_of(images))  # (N, C, H, W)
        return logits


def _score(channels: int, num_classes: int) -> nn.Conv2d:
    """1x1 convolution to class scores, with weights that start at zero as in the paper."""
    convolution = nn.Conv2d(channels, num_classes, 1)
    nn.init.zeros_(convolution.weight)
    nn.init.zeros_(convolution.bias)  # type: ignore[arg-type]
    return convolution


def _upsampling(kind: str, num_classes: int, *, factor: int) -> nn.Module:
    if kind == "bilinear":
        return BilinearUpsampling()
    return TransposedUpsampling(num_classes, factor=factor)
