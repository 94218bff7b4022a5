"""The number format of depthwise convolutions."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


@contextmanager
def depthwise_in_float32(model: nn.Module) -> Iterator[None]:
    """Within the block, autocast leaves the model's depthwise convolutions in float32."""
    handles = []
    for module in model.modules():
        if isinstance(module, nn.Conv2d) and module.groups > 1:
            exemption = _Exemption()
            handles.append(module.register_forward_pre_hook(exemption.begin))
            handles.append(module.register_forward_hook(exemption.end, always_call=True))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


class _Exemption:
    """Switches autocast off before a module's forward pass and on again after it."""

    def __init__(self) -> None:
        self._context: torch.autocast | None = None

    def begin(self, module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        self._context = torch.autocast(inputs[0].device.type, enabled=False)
        self._context.__enter__()
        return tuple(x.float() for x in inputs)

    def end(self, module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor | None) -> None:
        if self._context is not None:
            self._context.__exit__(None, None, None)
            self._context = None
