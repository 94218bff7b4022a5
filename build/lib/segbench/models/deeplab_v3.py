"""DeepLab v3: a richer pyramid of atrous convolutions, and no CRF."""

from collections.abc import Sequence

from torch import Tensor, nn

from segbench.models.backbones import Backbone
from segbench.models.layers import ASPP
from segbench.models.network import Network, enlarge, size_of


class DeepLabV3(Network):
    """DeepLab v3 of Chen et al.: Rethinking atrous convolution for semantic image segmentation, 2017, fig. 5.

    ASPP with image pooling on the backbone's last feature, a 1x1 classifier, and bilinear interpolation to the image's
    size. The paper's rates are 6, 12 and 18 at output stride 16, and twice those at 8.

    image_pooling: false leaves ASPP's image pooling out.

    Differs from the paper: no multi-grid rates in the backbone's last stage.
    """

    def __init__(
        self, backbone: Backbone, *, num_classes: int, atrous_rates: Sequence[int], image_pooling: bool,
        head_channels: int, dropout: float,
    ) -> None:  # fmt: skip
        super().__init__()
        self.backbone = backbone
        self.aspp = ASPP(
            backbone.channels[32], head_channels,
            atrous_rates=atrous_rates, image_pooling=image_pooling, dropout=dropout,
        )  # fmt: skip
        self.score = nn.Conv2d(head_channels, num_classes, 1)

    def logits(self, images: Tensor) -> Tensor:
        """images (N, 3, H, W) -> logits (N, C, H, W)"""
        features = self.backbone(images)[32]  # (N, channels, H/16, W/16)
        context = self.aspp(features)  # (N, head_channels, H/16, W/16)
        return enlarge(self.score(context), size_of(images))  # (N, C, H, W)
