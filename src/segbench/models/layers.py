"""Layers that several models share."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class ConvBNReLU(nn.Sequential):
    """Convolution that keeps the size, batch norm, ReLU: (N, in_channels, H, W) -> (N, out_channels, H, W)."""

    def __init__(self, in_channels: int, out_channels: int, kernel_px: int) -> None:
        super().__init__(
            nn.Conv2d(in_channels, out_channels, kernel_px, padding=kernel_px // 2, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(inplace=True),
        )


class BilinearUpsampling(nn.Module):
    """Fixed bilinear interpolation to a target size."""

    def forward(self, x: Tensor, *, size: tuple[int, int]) -> Tensor:
        """(N, C, h, w) -> (N, C, *size)"""
        return F.interpolate(x, size=size, mode="bilinear", align_corners=False)


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
        return upsampled[..., : size[0], : size[1]]


def bilinear_kernel(factor: int) -> Tensor:
    """(2 * factor, 2 * factor) weights that make a transposed convolution of that stride a bilinear interpolation.

    factor: even, so that the kernel has a centre between pixels.
    """
    distance = (torch.arange(2 * factor) - (factor - 0.5)).abs() / factor
    return torch.outer(1 - distance, 1 - distance)


def size_of(x: Tensor) -> tuple[int, int]:
    """(height, width) in pixels of a (..., H, W) tensor."""
    return x.shape[-2], x.shape[-1]
