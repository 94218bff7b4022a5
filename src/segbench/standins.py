"""Empty modules that stand in for parts of libraries that take seconds to import, and that nobody here uses."""

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import ModuleType
from typing import Any


@contextmanager
def standing_in(modules: Mapping[str, Mapping[str, Any]]) -> Iterator[None]:
    """Within the block, importing one of the modules gives an empty one with the members that are listed.

    Modules that are imported already stay as they are. After the block, the real ones can be imported.
    """
    absent = [name for name in modules if name not in sys.modules]
    for name in absent:
        sys.modules[name] = ModuleType(name)
        vars(sys.modules[name]).update(modules[name])
    try:
        yield
    finally:
        for name in absent:
            del sys.modules[name]


def _unchanged(function: Any = None, recursive: bool = True, **options: Any) -> Any:
    """For torch.compiler.disable, as a decorator with arguments or without."""
    return function if function is not None else _identity


def _identity(function: Callable[..., Any]) -> Callable[..., Any]:
    return function


TORCH_COMPILER: Mapping[str, Mapping[str, Any]] = {
    "torch._dynamo": {"disable": _unchanged},
    "torch._dynamo.utils": {"is_compile_supported": lambda device_type: False},
}
"""timm marks functions that torch.compile must leave alone, as torch does with what watches its operations, at their
first call; torchvision.ops asks whether it could compile one."""

SCIPY_SIGNAL: Mapping[str, Mapping[str, Any]] = {"scipy.signal": {"hamming": None}}
"""torchmetrics imports it only to add a name that it lacks."""
