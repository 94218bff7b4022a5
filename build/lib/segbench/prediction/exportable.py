"""Networks in a form that exporters can take for images of every size, with the same results.

Exporters follow a network with symbols in place of the sizes. They fail, or keep the example's sizes, where the network
asks about a size, or where a layer's work depends on it in a way that a symbol cannot say. Only copies made for an
export are changed: the networks themselves read as before, and compute what they were trained with.
"""

import copy
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segbench.models.color_clusters import ColorClusters
from segbench.models.layers import TransposedUpsampling
from segbench.models.network import BORDER, DEEPEST, Network, cut, size_of


def exportable(network: nn.Module) -> nn.Module:
    """A copy of a network, in evaluation mode and on the CPU, that computes the same and asks about no size.

    network: as `build_model` or `restore_network` gives it; a Predictor's own network has layers of another form.
    """
    network = copy.deepcopy(network).cpu().eval()
    network.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]  # others put sizes into questions
    if isinstance(network, ColorClusters):
        return ColorDifferences(network)
    if isinstance(network, Network) and type(network).forward is Network.forward:
        _replace_layers(network)
        return PaddedNetwork(network)
    return network  # it pads by itself, and without a question


class PaddedNetwork(nn.Module):
    """`Network.forward` without the question whether an image needs a border: a border may have no pixels."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """images (N, 3, H, W) -> logits (N, C, H, W)"""
        height, width = size_of(images)
        below, right = (DEEPEST * ((side + DEEPEST - 1) // DEEPEST) - side for side in (height, width))
        padded = F.pad(images, (0, right, 0, below), value=BORDER)
        return cut(self.network.logits(padded), (height, width))


class ColorDifferences(nn.Module):
    """ColorClusters with each distance written out, since ONNX has no operator for distances.

    The differences are squared and added in the order of torch.cdist, so that a colour between two clusters goes to the
    same one.
    """

    centers: Tensor
    log_frequencies: Tensor

    def __init__(self, clusters: ColorClusters) -> None:
        super().__init__()
        self.register_buffer("centers", clusters.centers)
        self.register_buffer("log_frequencies", clusters.log_frequencies)

    def forward(self, images: Tensor) -> Tensor:
        """images (N, 3, H, W) float in 0..1 -> logits (N, C, H, W), the logarithms of class frequencies"""
        red, green, blue = (
            (channel[..., None] - center).square()  # (N, H, W, clusters)
            for channel, center in zip(images.unbind(1), self.centers.unbind(1), strict=True)
        )
        nearest = (red + green + blue).sqrt().argmin(dim=-1)  # (N, H, W)
        return self.log_frequencies[nearest].permute(0, 3, 1, 2)


class RegionAverages(nn.Module):
    """nn.AdaptiveAvgPool2d as two products with matrices that are computed from the size, for any size.

    Region i of n covers the pixels from floor(i * side / n) up to, not with, ceil((i + 1) * side / n).
    """

    def __init__(self, num_bins: int) -> None:
        super().__init__()
        self.num_bins = num_bins

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, h, w) -> (N, C, bins, bins)"""
        height, width = size_of(x)
        return self._weights(height) @ x @ self._weights(width).T

    def _weights(self, side: int) -> Tensor:
        """(bins, side) the weight of each pixel in each region's average"""
        region, pixel = torch.arange(self.num_bins)[:, None], torch.arange(side)
        # In whole numbers, and without a division: pixel >= floor(region * side / bins), pixel < ceil(...)
        starts, ends = self.num_bins * (pixel + 1) > region * side, self.num_bins * pixel < (region + 1) * side
        inside = (starts & ends).float()
        return inside / inside.sum(dim=1, keepdim=True)


class FixedPadding(nn.Module):
    """timm's Conv2dSame for inputs whose sides are multiples of its stride, so that the padding is the same for all.

    In a Network they are, since its images are padded to multiples of the largest stride.
    """

    def __init__(self, convolution: nn.Conv2d) -> None:
        super().__init__()
        self.convolution = convolution
        below, right = (
            max(0, rate * (kernel_px - 1) + 1 - stride)
            for rate, kernel_px, stride in zip(
                convolution.dilation, convolution.kernel_size, convolution.stride, strict=True
            )
        )
        self.padding = (right // 2, right - right // 2, below // 2, below - below // 2)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C', H / stride, W / stride)"""
        layer = self.convolution
        return F.conv2d(F.pad(x, self.padding), layer.weight, layer.bias, layer.stride, 0, layer.dilation, layer.groups)


class Upsampling(nn.Module):
    """TransposedUpsampling without its switch to float32: what is exported computes in float32 anyway."""

    def __init__(self, upsampling: TransposedUpsampling) -> None:
        super().__init__()
        self.convolution = upsampling.convolution

    def forward(self, x: Tensor, *, size: tuple[int, int]) -> Tensor:
        """(N, C, h, w) -> (N, C, *size); size is at most factor * (h, w)"""
        return cut(self.convolution(x), size)


def _averages(pooling: nn.AdaptiveAvgPool2d) -> nn.Module:
    """An average of the whole image is exported as it is; networks have no pooling to other than n x n regions."""
    return pooling if pooling.output_size == 1 else RegionAverages(pooling.output_size)  # type: ignore[arg-type]


REPLACED: Mapping[str, Callable[..., nn.Module]] = {
    "timm.layers.conv2d_same.Conv2dSame": FixedPadding,
    "torch.nn.modules.pooling.AdaptiveAvgPool2d": _averages,
    "segbench.models.layers.TransposedUpsampling": Upsampling,
}
"""By name, since timm takes a second to import, which only networks with its backbones need."""


def _replace_layers(network: nn.Module) -> None:
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            kind = f"{type(child).__module__}.{type(child).__qualname__}"
            if kind in REPLACED:
                setattr(parent, name, REPLACED[kind](child))
