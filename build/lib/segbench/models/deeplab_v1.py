"""DeepLab v1: atrous convolution with a large field of view."""

from torch import Tensor, nn

from segbench.models.backbones import Backbone
from segbench.models.layers import ConvBNReLU, ConvReLU
from segbench.models.network import Network, enlarge, size_of


class DeepLabV1(Network):
    """DeepLab-LargeFOV of Chen et al.: Semantic image segmentation with deep convolutional nets and fully connected
    CRFs, ICLR 2015, sec. 3.1 and tab. 2 (the CRF that follows is a stage of its own).

    The backbone keeps output stride 8 by atrous convolution. fc6, a 3x3 convolution at a large rate, has a large field
    of view with few weights. Bilinear interpolation enlarges the scores to the image's size.

    At output stride 32, nothing in the backbone is atrous; a quarter of the rate then keeps fc6's field of view in
    pixels of the image.

    Differs from the paper: fc6 and fc7 start at random, where the paper takes them trained from VGG-16, and have batch
    norm if `batch_norm` is set; the loss is computed at the image's size, not at that of the scores.
    """

    def __init__(
        self, backbone: Backbone, *, num_classes: int, atrous_rate: int, head_channels: int, dropout: float,
        batch_norm: bool,
    ) -> None:  # fmt: skip
        super().__init__()
        self.backbone = backbone
        layer = ConvBNReLU if batch_norm else ConvReLU
        self.fc6 = layer(backbone.channels[32], head_channels, 3, rate=atrous_rate)
        self.fc7 = layer(head_channels, head_channels, 1)
        self.dropout = nn.Dropout(dropout)
        self.score = nn.Conv2d(head_channels, num_classes, 1)

    def logits(self, images: Tensor) -> Tensor:
        """images (N, 3, H, W) -> logits (N, C, H, W)"""
        features = self.backbone(images)[32]  # (N, channels, H/8, W/8)
        x = self.dropout(self.fc6(features))  # (N, head_channels, H/8, W/8)
        x = self.dropout(self.fc7(x))
        return enlarge(self.score(x), size_of(images))  # (N, C, H, W)
