"""What makes depthwise convolutions fast on a CPU changes no result."""

import pytest
import torch
from torch import nn

from segbench.training.convolutions import SubsampledConv2d, depthwise_in_float32, subsample_atrous_depthwise


def test_depthwise_convolutions_stay_in_float32_under_autocast() -> None:
    dense, depthwise = nn.Conv2d(4, 4, 3), nn.Conv2d(4, 4, 3, groups=4)
    model = nn.Sequential(dense, depthwise)
    seen: dict[nn.Module, torch.dtype] = {}
    for layer in model:
        layer.register_forward_hook(lambda module, _, output: seen.update({module: output.dtype}))
    with depthwise_in_float32(model), torch.autocast("cpu", dtype=torch.bfloat16):
        model(torch.rand(1, 4, 8, 8))
    assert seen == {dense: torch.bfloat16, depthwise: torch.float32}


def test_atrous_depthwise_convolutions_are_subsampled_and_nothing_else_is() -> None:
    atrous = nn.Conv2d(4, 4, 5, padding=8, dilation=4, groups=4)
    others = [nn.Conv2d(4, 4, 3, padding=2, dilation=2), nn.Conv2d(4, 4, 5, padding=2, groups=4)]
    x = torch.rand(1, 4, 13, 10)
    expected = atrous(x)
    model = nn.ModuleList([atrous, *others])
    names = list(model.state_dict())
    subsample_atrous_depthwise(model)
    assert [type(layer) for layer in model] == [SubsampledConv2d, nn.Conv2d, nn.Conv2d]
    assert list(model.state_dict()) == names and model[0].weight is atrous.weight
    torch.testing.assert_close(model[0](x), expected)


def test_autocast_is_as_before_behind_a_convolution_that_fails() -> None:
    depthwise = nn.Conv2d(4, 4, 3, groups=4)
    with depthwise_in_float32(depthwise), torch.autocast("cpu", dtype=torch.bfloat16):
        with pytest.raises(RuntimeError):
            depthwise(torch.rand(1, 5, 8, 8))
        assert torch.is_autocast_enabled("cpu")
    assert depthwise(torch.rand(1, 4, 8, 8)).dtype == torch.float32
    with torch.autocast("cpu", dtype=torch.bfloat16):  # outside the block it is a convolution like any other
        assert depthwise(torch.rand(1, 4, 8, 8)).dtype == torch.bfloat16
