"""The number format of depthwise convolutions."""

import pytest
import torch
from torch import nn

from segbench.training.convolutions import depthwise_in_float32


def test_depthwise_convolutions_stay_in_float32_under_autocast() -> None:
    dense, depthwise = nn.Conv2d(4, 4, 3), nn.Conv2d(4, 4, 3, groups=4)
    model = nn.Sequential(dense, depthwise)
    seen: dict[nn.Module, torch.dtype] = {}
    for layer in model:
        layer.register_forward_hook(lambda module, _, output: seen.update({module: output.dtype}))
    with depthwise_in_float32(model), torch.autocast("cpu", dtype=torch.bfloat16):
        model(torch.rand(1, 4, 8, 8))
    assert seen == {dense: torch.bfloat16, depthwise: torch.float32}


def test_autocast_is_as_before_behind_a_convolution_that_fails() -> None:
    depthwise = nn.Conv2d(4, 4, 3, groups=4)
    with depthwise_in_float32(depthwise), torch.autocast("cpu", dtype=torch.bfloat16):
        with pytest.raises(RuntimeError):
            depthwise(torch.rand(1, 5, 8, 8))
        assert torch.is_autocast_enabled("cpu")
    assert depthwise(torch.rand(1, 4, 8, 8)).dtype == torch.float32
    with torch.autocast("cpu", dtype=torch.bfloat16):  # outside the block it is a convolution like any other
        assert depthwise(torch.rand(1, 4, 8, 8)).dtype == torch.bfloat16
