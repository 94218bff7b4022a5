"""The number format and the device of a training."""

from typing import Any

import pytest
import torch

from pipeline.check import check_machine
from segbench.errors import InputError
from segbench.training.precision import choose_precision, device_type
from tests.parameters import PARAMETERS


def test_precision_follows_the_hardware_unless_forced() -> None:
    capabilities = torch.cpu.get_capabilities()
    has_bfloat16 = capabilities.get("amx_tile") or capabilities.get("avx512_bf16")
    assert choose_precision("auto", "cpu") == ("bfloat16" if has_bfloat16 else "float32")
    assert choose_precision("auto", "mps") == "float32"
    assert choose_precision("bfloat16", "cpu") == "bfloat16"
    with pytest.raises(InputError, match="precision is float16; on a CPU"):
        choose_precision("float16", "cpu")


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
@pytest.mark.parametrize("accelerator", ["gpu", "tpu"])
def test_a_device_that_is_not_there_is_refused(accelerator: str) -> None:
    with pytest.raises(InputError, match=f"accelerator is {accelerator}; this machine has none"):
        device_type(accelerator)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"train": {"accelerator": "gpu"}}, "train.accelerator is gpu; this machine has none"),
        ({"train": {"precision": "float16"}}, "train.precision is float16; on a CPU it must be float32 or"),
        ({"train_on": {"scenes": {"precision": "float16"}}}, "train.precision is float16; on a CPU it must be"),
        (
            {"train": {"search": {"epochs": 1, "candidates": [{"precision": "float16"}]}}},
            "train.precision is float16; on a CPU it must be",
        ),
    ],
)
def test_the_stage_check_refuses_what_this_machine_lacks(values: dict[str, Any], message: str) -> None:
    """Before DVC removes the model that is there."""
    check_machine(PARAMETERS)
    models = {**PARAMETERS.models, "unet": PARAMETERS.models["unet"].model_copy(update=values)}
    benchmark = PARAMETERS.benchmark.model_copy(update={"datasets": ["scenes"], "models": ["unet"]})
    with pytest.raises(InputError, match=message):
        check_machine(PARAMETERS.model_copy(update={"models": models, "benchmark": benchmark}))
    others = PARAMETERS.benchmark.model_copy(update={"datasets": ["scenes"], "models": ["fcn_8s"], "variants": []})
    check_machine(PARAMETERS.model_copy(update={"models": models, "benchmark": others}))
