"""Atrous depthwise convolutions, computed as plain ones on subsampled images: the same results, faster on a CPU."""

from torch import Tensor, nn
from torch.nn import functional as F

from segbench.models.network import cut, size_of
from segbench.models.shapes import without_numbers


class SubsampledConv2d(nn.Conv2d):
    """An atrous convolution of stride 1 that keeps the size, computed as plain convolutions of subsampled images.

    The input is subsampled by the rate, once from each of the rate x rate offsets; each part is convolved, and the
    results are interleaved. Chen et al. 2016, sec. 3.1, show that the result is the same. On a CPU, depthwise
    convolutions train 1.4 to 2.4 times faster this way.
    """

    @classmethod
    def fits(cls, convolution: nn.Module) -> bool:
        """Whether the module can be computed this way, and is faster for it."""
        return (
            type(convolution) is nn.Conv2d
            and convolution.groups > 1
            and convolution.dilation[0] > 1
            and convolution.stride == (1, 1)
            and convolution.padding[0] == convolution.dilation[0] * (convolution.kernel_size[0] // 2)
        )

    @classmethod
    def sharing(cls, convolution: nn.Conv2d) -> "SubsampledConv2d":
        """The same convolution with the same parameters, not copies of them."""
        with without_numbers():
            shared = cls(
                convolution.in_channels,
                convolution.out_channels,
                convolution.kernel_size,  # type: ignore[arg-type]
                padding=convolution.padding,  # type: ignore[arg-type]
                dilation=convolution.dilation,  # type: ignore[arg-type]
                groups=convolution.groups,
                bias=convolution.bias is not None,
            )
        shared.weight, shared.bias = convolution.weight, convolution.bias
        return shared.train(convolution.training)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C', H, W)"""
        rate, (height, width) = self.dilation[0], size_of(x)
        x = F.pad(x, (0, -width % rate, 0, -height % rate)).permute(0, 2, 3, 1)  # channels last, as in memory
        x = x.unflatten(1, (-1, rate)).unflatten(3, (-1, rate))  # (N, H / rate, rate, W / rate, rate, C)
        offsets = x.permute(0, 2, 4, 1, 3, 5)  # (N, rate, rate, H / rate, W / rate, C)
        convolved = F.conv2d(
            offsets.flatten(0, 2).permute(0, 3, 1, 2),
            self.weight,
            self.bias,
            padding=self.kernel_size[0] // 2,
            groups=self.groups,
        )
        x = convolved.permute(0, 2, 3, 1).unflatten(0, offsets.shape[:3])
        interleaved = x.permute(0, 3, 1, 4, 2, 5).flatten(3, 4).flatten(1, 2).permute(0, 3, 1, 2)
        return cut(interleaved, (height, width))


def subsample_atrous_depthwise(model: nn.Module) -> None:
    """Replace each atrous depthwise convolution by a SubsampledConv2d with the same name and parameters."""
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if SubsampledConv2d.fits(child):
                setattr(parent, name, SubsampledConv2d.sharing(child))  # type: ignore[arg-type]
