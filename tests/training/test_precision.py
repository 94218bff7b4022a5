"""The number format and the device of a training."""

import pytest
import torch

from segbench.errors import InputError
from segbench.training.precision import choose_precision, device_type


def test_precision_follows_the_hardware_unless_forced() -> None:
    capabilities = torch.cpu.get_capabilities()
    has_bfloat16 = capabilities.get("amx_tile") or capabilities.get("avx512_bf16")
    assert choose_precision("auto", "cpu") == ("bfloat16" if has_bfloat16 else "float32")
    assert choose_precision("auto", "mps") == "float32"
    assert choose_precision("bfloat16", "cpu") == "bfloat16"
    with pytest.raises(InputError, match="precision is float16; on a CPU"):
        choose_precision("float16", "cpu")


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_gpu_that_is_not_there_is_refused() -> None:
    with pytest.raises(InputError, match="accelerator is gpu; this machine has none"):
        device_type("gpu")
