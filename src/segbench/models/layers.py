"""What several models share: the frame of a network, and its layers."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class LossTerm(NamedTuple):
    """What training compares: logits (N, C, h, w) with label_maps (N, h, w), and how much that counts."""

    logits: Tensor
    label_maps: Tensor
    weight: float


DEEPEST = 32
"""The deepest stride: an image whose sides are multiples of it divides evenly at every stride."""
BORDER = 127 / 255
"""Grey, as the border of training samples that are smaller than their crop."""


class Network(nn.Module):
    """A model that is trained step by step: images (N, 3, H, W) float RGB in 0..1 -> logits (N, C, H, W).

    A subclass has `logits`, which sees images padded to whole strides. A strided convolution puts its output between
    other pixels when its input is odd than when it is even; without padding, features would lie up to half a stride
    elsewhere in test images than in the crops that the network was trained on.
    """

    def forward(self, images: Tensor) -> Tensor:
        """images (N, 3, H, W) -> logits (N, C, H, W)"""
        return cut(self.logits(pad_to_whole_strides(images)), size_of(images))

    def logits(self, images: Tensor) -> Tensor:
        """images (N, 3, H, W) -> logits (N, C, H, W), where H and W are multiples of DEEPEST"""
        raise NotImplementedError

    def loss_terms(self, images: Tensor, label_maps: Tensor) -> list[LossTerm]:
        """What the training loss sums up; the logits alone, unless a model says otherwise.

        images: (N, 3, H, W) float RGB in 0..1; label_maps: (N, H, W)
        """
        return [LossTerm(self(images), label_maps, 1.0)]


def pad_to_whole_strides(images: Tensor) -> Tensor:
    """(N, 3, H, W) -> the same with a grey border at the right and below, up to multiples of DEEPEST"""
    below, right = (-side % DEEPEST for side in size_of(images))
    return F.pad(images, (0, right, 0, below), value=BORDER) if below or right else images


def cut(x: Tensor, size: tuple[int, int]) -> Tensor:
    """(N, C, H, W) -> (N, C, *size), its top left part"""
    return x[..., : size[0], : size[1]]


class ConvBNReLU(nn.Sequential):
    """Convolution, batch norm, ReLU: (N, in_channels, H, W) -> (N, out_channels, H, W); it keeps the size.

    rate: of an atrous convolution; groups: as many as channels make it depthwise.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_px: int, *, rate: int = 1, groups: int = 1) -> None:
        padding = rate * (kernel_px // 2)
        super().__init__(
            nn.Conv2d(in_channels, out_channels, kernel_px, padding=padding, dilation=rate, groups=groups, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(inplace=True),
        )


class ConvReLU(nn.Sequential):
    """ConvBNReLU as it was before batch norm: convolution with a bias, ReLU."""

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

    A 1x1 convolution, a 3x3 convolution at each rate and global average pooling, side by side; concatenated, and
    mixed by a 1x1 convolution.
    """

    def __init__(self, in_channels: int, channels: int, *, atrous_rates: Sequence[int], dropout: float) -> None:
        super().__init__()
        self.branches = nn.ModuleList([
            ConvBNReLU(in_channels, channels, 1),
            *(ConvBNReLU(in_channels, channels, 3, rate=rate) for rate in atrous_rates),
        ])  # fmt: skip
        self.image_pooling = nn.Sequential(nn.AdaptiveAvgPool2d(1), ConvBNReLU(in_channels, channels, 1))
        self.project = ConvBNReLU((len(self.branches) + 1) * channels, channels, 1)
        self.dropout = nn.Dropout(dropout)

    def forward(self, features: Tensor) -> Tensor:
        """(N, in_channels, h, w) -> (N, channels, h, w)"""
        image_level = self.image_pooling(features).expand(-1, -1, *size_of(features))  # (N, channels, h, w)
        context = [*(branch(features) for branch in self.branches), image_level]
        mixed: Tensor = self.dropout(self.project(torch.cat(context, dim=1)))
        return mixed


class BilinearUpsampling(nn.Module):
    """Fixed bilinear interpolation to a target size."""

    def forward(self, x: Tensor, *, size: tuple[int, int]) -> Tensor:
        """(N, C, h, w) -> (N, C, *size)"""
        return enlarge(x, size)


class TransposedUpsampling(nn.Module):
    """Transposed convolution by a factor, initialised to bilinear interpolation and learnt from there.

    The kernel has 2 * factor pixels (Long et al. 2015), each class is upsampled by itself at first. An image whose
    size the factor does not divide yields a border too much, at the right and below, which is cut off.
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
        """(N, C, h, w) -> (N, C, *size), where size is at most factor * (h, w)"""
        upsampled: Tensor = self.convolution(x)
        return cut(upsampled, size)


def bilinear_kernel(factor: int) -> Tensor:
    """(2 * factor, 2 * factor) weights that make a transposed convolution of that stride a bilinear interpolation.

    factor: even, so that the kernel has a centre between pixels.
    """
    distance = (torch.arange(2 * factor) - (factor - 0.5)).abs() / factor
    return torch.outer(1 - distance, 1 - distance)


def subsampled_convolution(x: Tensor, convolution: nn.Conv2d) -> Tensor:
    """An atrous convolution as plain convolutions of subsampled images: (N, C, H, W) -> (N, C', H, W)

    Subsample by the rate, with each of its rate x rate offsets; convolve; interleave. Chen et al. 2016, sec. 3.1,
    say that both are the same; on a CPU this trains 1.4 to 2.4 times faster where the convolution is depthwise.
    convolution: of stride 1, which keeps the size.
    """
    rate, kernel_px = convolution.dilation[0], convolution.kernel_size[0]
    height, width = size_of(x)
    x = F.pad(x, (0, -width % rate, 0, -height % rate)).permute(0, 2, 3, 1)  # channels last, as they lie in memory
    x = x.unflatten(1, (-1, rate)).unflatten(3, (-1, rate))  # (N, H / rate, rate, W / rate, rate, C)
    offsets = x.permute(0, 2, 4, 1, 3, 5)  # (N, rate, rate, H / rate, W / rate, C)
    convolved = F.conv2d(
        offsets.flatten(0, 2).permute(0, 3, 1, 2),
        convolution.weight,
        convolution.bias,
        padding=kernel_px // 2,
        groups=convolution.groups,
    )
    x = convolved.permute(0, 2, 3, 1).unflatten(0, offsets.shape[:3])
    interleaved = x.permute(0, 3, 1, 4, 2, 5).flatten(3, 4).flatten(1, 2).permute(0, 3, 1, 2)
    return cut(interleaved, (height, width))


def enlarge(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Bilinear interpolation: (N, C, h, w) -> (N, C, *size)"""
    return F.interpolate(x, size=size, mode="bilinear", align_corners=False)


def size_of(x: Tensor) -> tuple[int, int]:
    """(height, width) in pixels of a (..., H, W) tensor."""
    return x.shape[-2], x.shape[-1]
