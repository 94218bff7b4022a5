"""Upsampling layers against torch's own interpolation."""

import pytest
import torch
from torch.nn import functional as F

from segbench.models.layers import BilinearUpsampling, ConvBNReLU, TransposedUpsampling


@pytest.mark.parametrize("factor", [2, 4, 8, 16, 32])
def test_a_fresh_transposed_convolution_is_bilinear_interpolation(factor: int) -> None:
    x = torch.randn(2, 3, 6, 7, generator=torch.manual_seed(0))
    size = (6 * factor, 7 * factor)
    upsampled = TransposedUpsampling(3, factor=factor)(x, size=size)
    expected = F.interpolate(x, size=size, mode="bilinear", align_corners=False)
    inside = (..., slice(factor // 2, -(factor // 2)), slice(factor // 2, -(factor // 2)))
    # At the border, interpolation repeats the last pixel where the convolution sees zeros.
    torch.testing.assert_close(upsampled[inside], expected[inside], rtol=0, atol=1e-6)
    assert not torch.allclose(upsampled, expected)


def test_a_transposed_convolution_cuts_what_the_target_has_not() -> None:
    x = torch.randn(1, 2, 3, 4)
    layer = TransposedUpsampling(2, factor=8)
    assert torch.equal(layer(x, size=(17, 30)), layer(x, size=(24, 32))[..., :17, :30])


def test_bilinear_upsampling_has_nothing_to_learn() -> None:
    layer = BilinearUpsampling()
    assert layer(torch.ones(1, 2, 3, 4), size=(9, 13)).shape == (1, 2, 9, 13)
    assert not list(layer.parameters())


def test_conv_bn_relu_keeps_the_size() -> None:
    y = ConvBNReLU(3, 5, 3)(torch.randn(2, 3, 9, 11))
    assert y.shape == (2, 5, 9, 11)
    assert (y >= 0).all()
