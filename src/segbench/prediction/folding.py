"""Batch norms folded into the convolutions before them, so that a prediction computes fewer layers."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from segbench.standins import TORCH_COMPILER, standing_in

CONVOLUTIONS = ("torch.nn.modules.conv.Conv2d", "timm.layers.conv2d_same.Conv2dSame")
NORMS = ("torch.nn.modules.batchnorm.BatchNorm2d", "timm.layers.norm_act.BatchNormAct2d")
"""These types alone: a subclass may compute something else, such as a convolution with standardised weights.

By name, since timm takes a second to import, which only networks with its backbones need.
"""
PROBE_PX = 64


@torch.no_grad()
def fold_batch_norms(model: nn.Module, *, device: torch.device) -> None:
    """Make each batch norm that alone takes a convolution's output a part of that convolution's weights, in place.

    model: in evaluation mode, on the device. A small image shows which layers take what. timm's batch norms have an
    activation in them, which stays.
    """
    for convolution, norm in _followed(model, torch.zeros(1, 3, PROBE_PX, PROBE_PX, device=device)):
        assert norm.running_mean is not None and norm.running_var is not None
        convolution.weight, convolution.bias = fuse_conv_bn_weights(
            convolution.weight, convolution.bias, norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias
        )
        _replace(model, norm, by=getattr(norm, "act", nn.Identity()))


def _followed(model: nn.Module, images: Tensor) -> list[tuple[nn.Conv2d, nn.BatchNorm2d]]:
    """The convolutions whose output goes to a batch norm and nowhere else, where each of the two is used once."""
    outputs: list[tuple[Any, Tensor]] = []
    inputs: list[tuple[Any, Tensor]] = []
    handles = []
    for module in model.modules():
        if _type_name(module) in CONVOLUTIONS:
            handles.append(module.register_forward_hook(lambda layer, _, output: outputs.append((layer, output))))
        elif _type_name(module) in NORMS:
            handles.append(module.register_forward_pre_hook(lambda layer, taken: inputs.append((layer, taken[0]))))
    with standing_in(TORCH_COMPILER), _Operations() as operations:
        model(images)
    for handle in handles:
        handle.remove()
    calls = [layer for layer, _ in (*outputs, *inputs)]
    return [
        (convolution, norm)
        for convolution, output in outputs
        for norm, taken in inputs
        if output is taken
        and sum(output is one for one in operations.taken) == 1
        and calls.count(convolution) == calls.count(norm) == 1
    ]


def _type_name(module: nn.Module) -> str:
    return f"{type(module).__module__}.{type(module).__qualname__}"


class _Operations(TorchDispatchMode):
    """Records the tensors that torch's operations take."""

    def __init__(self) -> None:
        super().__init__()
        self.taken: list[Tensor] = []

    def __torch_dispatch__(
        self,
        operation: Callable[..., Any],
        types: Any,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        self.taken += (leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor))
        return operation(*args, **(kwargs or {}))


def _replace(model: nn.Module, module: nn.Module, *, by: nn.Module) -> None:
    """Put `by` wherever the module is in the model."""
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if child is module:
                setattr(parent, name, by)
