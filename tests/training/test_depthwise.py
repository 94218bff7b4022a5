"""Compiled depthwise convolutions give what torch's own give, forwards and backwards."""

import os
import subprocess
import sys

import pytest
import torch
from timm.layers import Conv2dSame
from torch import Tensor, nn

from segbench.training.depthwise import CompiledDepthwise, compile_depthwise
from tests.parameters import PROJECT

CONVOLUTIONS = [
    nn.Conv2d(6, 6, 3, padding=1, groups=6, bias=False),
    nn.Conv2d(6, 6, 5, padding=2, stride=2, groups=6, bias=False),
    nn.Conv2d(6, 6, 5, padding=8, dilation=4, groups=6, bias=False),
    nn.Conv2d(6, 6, 3, padding=(0, 2), stride=3, dilation=2, groups=6, bias=False),
    Conv2dSame(6, 6, 5, stride=2, groups=6, bias=False),
    Conv2dSame(6, 6, 3, stride=2, dilation=2, groups=6, bias=False),
]


def outcome(convolution: nn.Conv2d, x: Tensor) -> list[Tensor]:
    """The output, and the gradients of the input and of the weights for a loss that differs from pixel to pixel."""
    image = x.detach().clone().requires_grad_()
    convolution.zero_grad()
    convolved = convolution(image)
    (convolved.float() * torch.linspace(-1, 1, convolved.numel()).view_as(convolved)).sum().backward()
    assert image.grad is not None and convolution.weight.grad is not None
    return [convolved.detach().float(), image.grad.float(), convolution.weight.grad]


@pytest.mark.parametrize("convolution", CONVOLUTIONS, ids=str)
def test_results_and_gradients_in_float32_are_those_of_torch(convolution: nn.Conv2d) -> None:
    x = torch.randn(3, 6, 13, 10).to(memory_format=torch.channels_last)
    expected = [found.clone() for found in outcome(convolution, x)]
    for found, wanted in zip(outcome(CompiledDepthwise.sharing(convolution), x), expected, strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)


def test_bfloat16_is_read_and_written_and_sums_are_in_float32() -> None:
    convolution = nn.Conv2d(6, 6, 5, padding=2, groups=6, bias=False)
    x = torch.randn(3, 6, 13, 10).bfloat16().float()
    expected = [found.clone() for found in outcome(convolution, x)]
    compiled = CompiledDepthwise.sharing(convolution)
    with torch.autocast("cpu", torch.bfloat16):
        assert compiled(x).dtype == torch.bfloat16
    output, of_image, of_weight = outcome(compiled, x.bfloat16())
    assert torch.equal(output, expected[0].bfloat16().float())  # rounded once, to the nearest
    torch.testing.assert_close(of_image, expected[1], rtol=1e-2, atol=1e-2)
    torch.testing.assert_close(of_weight, expected[2], rtol=1e-2, atol=1e-1)


def test_the_number_of_threads_changes_no_bit() -> None:
    compiled = CompiledDepthwise.sharing(CONVOLUTIONS[0])
    x, threads = torch.randn(5, 6, 13, 10), torch.get_num_threads()
    try:
        found = []
        for number in (1, 2):
            torch.set_num_threads(number)
            found.append([each.clone() for each in outcome(compiled, x)])
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(first, second) for first, second in zip(*found, strict=True))


def test_only_what_is_faster_compiled_is_replaced_and_keeps_its_name_and_weights() -> None:
    slow = nn.Conv2d(4, 4, 5, padding=2, groups=4, bias=False)
    fast_in_float32 = nn.Conv2d(4, 4, 3, padding=1, groups=4, bias=False)
    others = [
        nn.Conv2d(4, 4, 5), nn.Conv2d(4, 8, 5, groups=4, bias=False), nn.Conv2d(4, 4, 5, groups=2, bias=False),
        nn.Conv2d(4, 4, 5, groups=4), nn.Conv2d(4, 4, 5, padding="same", groups=4, bias=False),
        nn.Conv2d(4, 4, 5, padding=2, groups=4, bias=False, padding_mode="reflect"),
    ]  # fmt: skip
    for in_bfloat16, replaced in ((False, [slow]), (True, [slow, fast_in_float32])):
        model = nn.ModuleList([slow, fast_in_float32, *others])
        names = list(model.state_dict())
        compile_depthwise(model, in_bfloat16=in_bfloat16)
        before = [slow, fast_in_float32, *others]
        assert list(model.state_dict()) == names
        for old, new in zip(before, model, strict=True):
            assert (type(new) is CompiledDepthwise) == any(old is each for each in replaced)
            assert new.weight is old.weight


def test_torch_keeps_its_number_of_threads() -> None:
    """In a process of its own, since numba starts its threads once."""
    code = """
import torch
from torch import nn
from segbench.training.depthwise import CompiledDepthwise
torch.set_num_threads(1)
CompiledDepthwise.sharing(nn.Conv2d(4, 4, 3, groups=4, bias=False))(torch.rand(1, 4, 8, 8)).sum().backward()
assert torch.get_num_threads() == 1, torch.get_num_threads()
"""
    environment = {**os.environ, "PYTHONPATH": str(PROJECT / "src")}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)
