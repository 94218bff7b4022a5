"""Workers by the memory that is left."""

import pytest

from segbench.crf import memory
from segbench.crf.memory import affordable_workers, bytes_per_image

GIB = 2**30


@pytest.mark.parametrize(("available_gib", "workers"), [(4000, 8), (200, 3), (70, 1), (1, 1)])
def test_workers_fit_into_memory(
    available_gib: int, workers: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Images of 4k with 150 classes: about 50 GiB per image."""
    monkeypatch.setattr(memory, "available_memory_bytes", lambda: available_gib * GIB)
    monkeypatch.setattr(memory, "num_cores", lambda: 8)
    assert affordable_workers(num_classes=150, num_pixels=3840 * 2160) == workers
    warned = capsys.readouterr().err
    assert ("free" in warned) == (available_gib == 1)
    if warned:
        assert "and 150 classes, and 1.0 GiB are free" in warned and warned.count("\n") == 1


def test_small_images_use_all_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "available_memory_bytes", lambda: GIB)
    monkeypatch.setattr(memory, "num_cores", lambda: 8)
    assert affordable_workers(num_classes=9, num_pixels=96 * 128) == 8
    assert bytes_per_image(num_classes=9, num_pixels=96 * 128) < 0.03 * GIB
