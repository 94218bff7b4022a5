"""Depthwise convolutions for training on a CPU: compiled loops over the positions, with the channels as vectors.

A backbone such as EfficientNet or MobileNet spends most of a training step in depthwise convolutions and in the copies
around them. torch's own are slow backwards, above all with 5x5 kernels and atrous ones, and want float32. These read
and write float32 or bfloat16 and sum in float32.
"""

from typing import Any, TypeGuard

import numpy as np
import torch
from llvmlite import ir
from numba import config, njit, prange, set_num_threads, types
from numba.extending import intrinsic
from numpy.typing import NDArray
from timm.layers import Conv2dSame
from torch import Tensor, nn

from segbench.models.shapes import without_numbers

Numbers = NDArray[Any]
"""float32, or bfloat16 as the uint16 with the same bits."""

_bits16, _bits32 = ir.IntType(16), ir.IntType(32)
_compiled = njit(parallel=True, fastmath=True, nogil=True, cache=True)


@intrinsic  # type: ignore[untyped-decorator]
def _wide(context, number):  # type: ignore[no-untyped-def]
    """A number of either format as float32."""

    def generate(_, builder, signature, arguments):  # type: ignore[no-untyped-def]
        if signature.args[0] == types.float32:
            return arguments[0]
        bits = builder.shl(builder.zext(arguments[0], _bits32), _bits32(16))
        return builder.bitcast(bits, ir.FloatType())

    return types.float32(number), generate


@intrinsic  # type: ignore[untyped-decorator]
def _as(context, like, number):  # type: ignore[no-untyped-def]
    """A float32 in the format of `like`, rounded to the nearest, and to even where two are as near."""

    def generate(_, builder, signature, arguments):  # type: ignore[no-untyped-def]
        if signature.return_type == types.float32:
            return arguments[1]
        bits = builder.bitcast(arguments[1], _bits32)
        is_odd = builder.and_(builder.lshr(bits, _bits32(16)), _bits32(1))
        rounded = builder.add(builder.add(bits, _bits32(0x7FFF)), is_odd)
        return builder.trunc(builder.lshr(rounded, _bits32(16)), _bits16)

    return like(like, number), generate


@_compiled
def _forward(x, weights, out, side, stride, rate, top, left):  # type: ignore[no-untyped-def]
    """out[n, y, x, c] = the sum over taps of x * weights[tap, c]; (N, H, W, C) arrays and (side * side, C) weights."""
    (_, height, width, channels), (num_images, out_height, out_width, _) = x.shape, out.shape
    for row in prange(num_images * out_height):
        image, out_y = row // out_height, row % out_height
        sums = np.empty(channels, np.float32)
        for out_x in range(out_width):
            sums[:] = 0
            for tap_y in range(side):
                y = out_y * stride - top + tap_y * rate
                if y < 0 or y >= height:
                    continue
                for tap_x in range(side):
                    across = out_x * stride - left + tap_x * rate
                    if across < 0 or across >= width:
                        continue
                    here, weight = x[image, y, across], weights[tap_y * side + tap_x]
                    for c in range(channels):
                        sums[c] += _wide(here[c]) * weight[c]
            there = out[image, out_y, out_x]
            for c in range(channels):
                there[c] = _as(there[c], sums[c])


@_compiled
def _backward_input(gradient, weights, out, side, stride, rate, top, left):  # type: ignore[no-untyped-def]
    """out = the gradient of the input, from that of the output."""
    (num_images, height, width, channels), (_, out_height, out_width, _) = out.shape, gradient.shape
    for row in prange(num_images * height):
        image, y = row // height, row % height
        sums = np.empty(channels, np.float32)
        for x in range(width):
            sums[:] = 0
            for tap_y in range(side):
                down = y + top - tap_y * rate
                if down < 0 or down % stride or down // stride >= out_height:
                    continue
                for tap_x in range(side):
                    right = x + left - tap_x * rate
                    if right < 0 or right % stride or right // stride >= out_width:
                        continue
                    there, weight = gradient[image, down // stride, right // stride], weights[tap_y * side + tap_x]
                    for c in range(channels):
                        sums[c] += _wide(there[c]) * weight[c]
            here = out[image, y, x]
            for c in range(channels):
                here[c] = _as(here[c], sums[c])


@_compiled
def _backward_weights(gradient, x, out, side, stride, rate, top, left):  # type: ignore[no-untyped-def]
    """out[n] = the part of an image in the gradient of the weights, (side * side, C) float32."""
    (num_images, height, width, channels), (_, out_height, out_width, _) = x.shape, gradient.shape
    for image in prange(num_images):
        sums = out[image]
        sums[:] = 0
        for out_y in range(out_height):
            for out_x in range(out_width):
                there = gradient[image, out_y, out_x]
                for tap_y in range(side):
                    y = out_y * stride - top + tap_y * rate
                    if y < 0 or y >= height:
                        continue
                    for tap_x in range(side):
                        across = out_x * stride - left + tap_x * rate
                        if across < 0 or across >= width:
                            continue
                        here, tap = x[image, y, across], sums[tap_y * side + tap_x]
                        for c in range(channels):
                            tap[c] += _wide(here[c]) * _wide(there[c])


class _Depthwise(torch.autograd.Function):
    """The operation: (N, C, H, W) images and (C, 1, side, side) float32 weights -> (N, C, H', W') in x's format."""

    @staticmethod
    def forward(  # type: ignore[override]
        context: Any, x: Tensor, weight: Tensor, stride: int, rate: int, corner: tuple[int, int], size: tuple[int, int]
    ) -> Tensor:
        """corner: how far above and left of the image the first output's kernel begins; size: (H', W')."""
        pixels, taps = _channels_last(x), weight.flatten(1).t().contiguous()
        out = pixels.new_empty(len(x), *size, x.shape[1])
        context.geometry = weight.shape[-1], stride, rate, *corner
        _use_threads_of_torch()
        _forward(_numbers(pixels), taps.numpy(), _numbers(out), *context.geometry)
        context.save_for_backward(pixels, taps)
        return out.permute(0, 3, 1, 2)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None, None, None, None]:  # type: ignore[override]
        """The gradients of x and weight. Images' parts are added in their order, whatever the number of threads."""
        pixels, taps = context.saved_tensors
        after = _numbers(_channels_last(gradient.to(pixels.dtype)))
        before, parts = torch.empty_like(pixels), torch.empty(len(pixels), *taps.shape)
        _use_threads_of_torch()
        _backward_input(after, taps.numpy(), _numbers(before), *context.geometry)
        _backward_weights(after, _numbers(pixels), parts.numpy(), *context.geometry)
        side = context.geometry[0]
        of_weight = torch.from_numpy(parts.numpy().sum(axis=0)).t().unflatten(1, (1, side, side))
        return before.permute(0, 3, 1, 2), of_weight, None, None, None, None


class CompiledDepthwise(nn.Conv2d):
    """A depthwise convolution without a bias that shares its weights with one of torch's or timm's."""

    pads_like_tensorflow: bool

    @classmethod
    def fits(cls, module: nn.Module) -> TypeGuard[nn.Conv2d]:
        """Whether the module can be computed this way."""
        return (
            isinstance(module, nn.Conv2d)
            and type(module) in (nn.Conv2d, Conv2dSame)
            and module.groups == module.in_channels == module.out_channels > 1
            and module.bias is None
            and module.padding_mode == "zeros"
            and not isinstance(module.padding, str)
            and all(len(set(pair)) == 1 for pair in (module.kernel_size, module.stride, module.dilation))
        )

    @classmethod
    def sharing(cls, convolution: nn.Conv2d) -> "CompiledDepthwise":
        """The same convolution with the same weights, not a copy of them."""
        channels = convolution.in_channels
        with without_numbers():
            shared = cls(
                channels, channels, convolution.kernel_size[0], convolution.stride[0], convolution.padding,  # type: ignore[arg-type]
                convolution.dilation[0], groups=channels, bias=False,
            )  # fmt: skip
        shared.weight = convolution.weight
        shared.pads_like_tensorflow = isinstance(convolution, Conv2dSame)
        return shared.train(convolution.training)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H', W'), in the format of autocast where that is on, else in float32"""
        if torch.is_autocast_enabled("cpu"):
            x = x.to(torch.get_autocast_dtype("cpu"))
        (side, _), (stride, _), (rate, _) = self.kernel_size, self.stride, self.dilation
        reach, sides = rate * (side - 1) + 1, x.shape[-2:]
        if self.pads_like_tensorflow:
            down, right = (-(-length // stride) for length in sides)
            missing = (
                max(0, (n - 1) * stride + reach - length) for n, length in zip((down, right), sides, strict=True)
            )
            top, left = (pixels // 2 for pixels in missing)
        else:
            top, left = (int(pixels) for pixels in self.padding)
            down, right = ((n + 2 * pad - reach) // stride + 1 for n, pad in zip(sides, (top, left), strict=True))
        convolved: Tensor = _Depthwise.apply(x, self.weight, stride, rate, (top, left), (down, right))  # type: ignore[no-untyped-call]
        return convolved


def compile_depthwise(model: nn.Module, *, in_bfloat16: bool) -> None:
    """Replace depthwise convolutions by compiled ones with the same names and weights, wherever that is faster.

    In float32, torch's own are as fast where the kernel is 3x3 and not atrous.
    """
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if CompiledDepthwise.fits(child):
                is_slow_in_float32 = child.kernel_size[0] > 3 or child.dilation[0] > 1
                if in_bfloat16 or is_slow_in_float32:
                    setattr(parent, name, CompiledDepthwise.sharing(child))


def _channels_last(x: Tensor) -> Tensor:
    """(N, C, H, W) -> contiguous (N, H, W, C)"""
    return x.permute(0, 2, 3, 1).contiguous()


def _numbers(x: Tensor) -> Numbers:
    """The tensor's own memory as an array."""
    if x.dtype == torch.bfloat16:
        return x.view(torch.uint16).numpy()
    return x.numpy()


def _use_threads_of_torch() -> None:
    threads = torch.get_num_threads()
    set_num_threads(min(threads, config.NUMBA_NUM_THREADS))
    if torch.get_num_threads() != threads:  # numba, when it starts, sets the number for all users of OpenMP
        torch.set_num_threads(threads)
