"""What a model's log says of why it failed."""

import pytest

from pipeline.check import reason_of


@pytest.mark.parametrize(
    ("log", "reason"),
    [
        ("epoch 1/2\nTraceback:\nRuntimeError: no\nERROR: failed to reproduce 'train@a-b'\n", "RuntimeError: no"),
        ("torch.OutOfMemoryError: full\nERROR: failed\n", "torch.OutOfMemoryError: full"),
        ("ValueError: of old\n\nerror: not done after 5 s, the limit\n", "error: not done after 5 s, the limit"),
        ("something\nelse\n", "else"),
    ],
)
def test_the_last_error_is_the_reason(log: str, reason: str) -> None:
    assert reason_of(log) == reason
