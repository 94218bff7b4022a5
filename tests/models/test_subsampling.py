"""Which convolutions are computed on subsampled images. That it changes no result is in test_parity."""

import torch
from torch import nn

from segbench.models.subsampling import SubsampledConv2d, subsample_atrous_depthwise


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
