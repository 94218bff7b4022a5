"""Where training runs, and in which number format."""

from importlib.util import find_spec
from typing import Any, Literal

import torch

from segbench.errors import InputError

Precision = Literal["float32", "bfloat16", "float16"]
LIGHTNING_PRECISION: dict[Precision, Any] = {
    "float32": "32-true",
    "bfloat16": "bf16-mixed",
    "float16": "16-mixed",
}


def device_type(accelerator: str) -> str:
    """The device that training will run on: cuda, mps, xla or cpu. InputError if this machine has no such device."""
    available = {
        "gpu": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
        "tpu": find_spec("torch_xla") is not None,
    }
    if accelerator == "auto":
        accelerator = next(name for name, is_there in available.items() if is_there)
    if not available[accelerator]:
        raise InputError(f"params.yaml: train.accelerator is {accelerator}; this machine has none, so use auto or cpu")
    return {"gpu": "cuda", "tpu": "xla"}.get(accelerator, accelerator)


def choose_precision(requested: str, device: str) -> Precision:
    """The number format for training, by hardware when `requested` is auto.

    CPUs with bfloat16 arithmetic (AMX or AVX-512) run convolutions 1.2 to 3 times faster in it; others emulate it.
    """
    match requested, device:
        case ("auto", "cuda"):
            return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float16"
        case ("auto", "cpu"):
            capabilities = torch.cpu.get_capabilities()
            has_bfloat16 = capabilities.get("amx_tile") or capabilities.get("avx512_bf16")
            return "bfloat16" if has_bfloat16 else "float32"
        case ("auto", _):
            return "float32"
        case ("float16", "cpu"):
            raise InputError("params.yaml: train.precision is float16; on a CPU it must be float32 or bfloat16")
    return requested  # type: ignore[return-value]
