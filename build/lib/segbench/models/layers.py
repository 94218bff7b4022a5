"""Layers that several models share."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from segbench.models.network import cut, enlarge, size_of


class ConvBNReLU(nn.Sequential):
    """Convolution, batch norm, ReLU: (N, in_channels, H, W) -> (N, out_channels, H, W)

    rate: more than 1 makes the convolution atrous; groups: in_channels makes it depthwise.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_px: int, *, rate: int = 1, groups: int = 1) -> None:
        padding = rate * (kernel_px // 2)
        super().__init__(
            nn.Conv2d(in_channels, out_channels, kernel_px, padding=padding, dilation=rate, groups=groups, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(inplace=True),
        )


class ConvReLU(nn.Sequential):
    """Convolution with a bias, ReLU: the layer of papers from before batch norm."""

    def __init__(self, in_channels: int, out_channels: int, kernel_px: int, *, rate: int = 1) -> None:
        convolution = nn.Conv2d(in_channels, out_channels, kernel_px, padding=rate * (kernel_px // 2), dilation=rate)
        nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
        nn.init.zeros_(convolution.bias)  # type: ignore[arg-type]
        super().__init__(convolution, nn.ReLU(inplace=True))


class SeparableConv(nn.Sequential):
    """3x3 depthwise convolution and 1x1 convolution, each with batch norm and ReLU: (N, in, H, W) -> (N, out, H, W)."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(
            ConvBNReLU(in_channels, in_channels, 3, groups=in_channels),
            ConvBNReLU(in_channels, out_channels, 1),
        )


class ASPP(nn.Module):
    """Atrous spatial pyramid pooling of Chen et al.: Rethinking atrous convolution, 2017, fig. 5.

    A 1x1 convolution, a 3x3 convolution at each rate and global average pooling work side by side. Their outputs are
    concatenated and mixed by a 1x1 convolution.

    image_pooling: false leaves the pooling out.
    """

    def __init__(
        self, in_channels: int, channels: int, *, atrous_rates: Sequence[int], image_pooling: bool, dropout: float
    ) -> None:
        super().__init__()
        self.branches = nn.ModuleList([
            ConvBNReLU(in_channels, channels, 1),
            *(ConvBNReLU(in_channels, channels, 3, rate=rate) for rate in atrous_rates),
        ])  # fmt: skip
        pooling = [nn.AdaptiveAvgPool2d(1), ConvBNReLU(in_channels, channels, 1)] if image_pooling else []
        self.image_pooling = nn.Sequential(*pooling)
        self.project = ConvBNReLU((len(self.branches) + image_pooling) * channels, channels, 1)
        self.dropout = nn.Dropout(dropout)

    def forward(self, features: Tensor) -> Tensor:
        """(N, in_channels, h, w) -> (N, channels, h, w)"""
        image_level = [self.image_pooling(features).expand(-1, -1, *size_of(features))] if self.image_pooling else []
        context = [*(branch(features) for branch in self.branches), *image_level]  # each (N, channels, h, w)
        mixed: Tensor = self.dropout(self.project(torch.cat(context, dim=1)))
        return mixed


class BilinearUpsampling(nn.Module):
    """Fixed bilinear interpolation to a target size."""

    def forward(self, x: Tensor, *, size: tuple[int, int]) -> Tensor:
        """(N, C, h, w) -> (N, C, *size)"""
        return enlarge(x, size)


class TransposedUpsampling(nn.Module):
    """Transposed convolution that enlarges by a factor; it starts as bilinear interpolation and is learnt from there.

    The kernel is 2 * factor pixels wide (Long et al. 2015). At first, each class is upsampled without the others.
    Pixels beyond the target size, at the right and below, are cut off. Computed in float32, since the CPU's kernels for
    bfloat16 take 15 to 20 times as long for factor 32.
    """

    def __init__(self, channels: int, *, factor: int) -> None:
        super().__init__()
        self.convolution = nn.ConvTranspose2d(
            channels, channels, 2 * factor, stride=factor, padding=factor // 2, bias=False
        )
        with torch.no_grad():
            self.convolution.weight.zero_()
            self.convolution.weight[range(channels), range(channels)] = bilinear_kernel(factor)

    def forward(self, x: Tensor, *, size: tuple[int, int]) -> Tensor:
        """(N, C, h, w) -> (N, C, *size); size is at most factor * (h, w)"""
        with torch.autocast("cpu" if x.is_meta else x.device.type, enabled=False):
            upsampled: Tensor = self.convolution(x.float())
        return cut(upsampled, size)


def bilinear_kernel(factor: int) -> Tensor:
    """(2 * factor, 2 * factor) weights that make a transposed convolution of that stride a bilinear interpolation.

    factor: even, so that the kernel has a centre between pixels.
    """
    distance = (torch.arange(2 * factor) - (factor - 0.5)).abs() / factor
    return torch.outer(1 - distance, 1 - distance)
