"""Stand-ins: libraries import them, and nobody after them does."""

import subprocess
import sys

import pytest

from segbench.standins import TORCH_COMPILER, standing_in
from tests.parameters import PROJECT


def test_a_stand_in_has_the_listed_members_within_the_block_alone() -> None:
    sys.modules.pop("wave", None)
    with standing_in({"wave": {"open": 3}}):
        import wave
    assert vars(wave)["open"] == 3
    assert "wave" not in sys.modules
    import wave as real

    assert callable(real.open)


def test_a_module_that_is_imported_already_stays() -> None:
    import json

    with standing_in({"json": {}}):
        assert sys.modules["json"] is json
    assert sys.modules["json"] is json


@pytest.mark.parametrize("decorator", ["disable", "disable()", "disable(reason='x')"])
def test_functions_that_torch_should_not_compile_stay_as_they_are(decorator: str) -> None:
    def function() -> None: ...

    assert eval(decorator, dict(TORCH_COMPILER["torch._dynamo"]))(function) is function


def test_the_real_compiler_and_signal_processing_work_afterwards() -> None:
    """In a process of its own, since this one may have imported them."""
    code = """
import sys
sys.path.insert(0, "src")
import segbench.models.backbones, segbench.training.fit
import scipy.signal, torch, torchvision
assert scipy.signal.windows.hamming(3).shape == (3,)
assert torch.compile(lambda x: x + 1, backend="eager")(torch.ones(1)) == 2
assert torchvision.ops.nms(torch.tensor([[0.0, 0, 1, 1]]), torch.ones(1), 0.5).tolist() == [0]
"""
    subprocess.run([sys.executable, "-c", code], cwd=PROJECT, check=True)
