"""Workers by the memory that is left."""

import os
import subprocess
import sys

import pytest

from segbench.crf import memory
from segbench.crf.memory import affordable_workers, bytes_per_image
from tests.parameters import PROJECT

GIB = 2**30
SIDE_PX, NUM_CLASSES = 512, 50
REFINES = f"""
import numpy as np
from segbench.crf.energy import CRFParameters
from segbench.crf.inference import refine_after
from segbench.machine import held_memory_mib, peak_memory_mib

def photo_and_scores(side_px):
    rng = np.random.default_rng(0)
    image = np.kron(rng.integers(0, 256, (side_px // 8, side_px // 8, 3)), np.ones((8, 8, 1))).astype(np.uint8)
    scores = rng.random(({NUM_CLASSES}, side_px, side_px), np.float32)
    return image + rng.integers(0, 4, image.shape, np.uint8), scores / scores.sum(axis=0)

parameters = CRFParameters(5, 0.02, 5, 1, 0.005, 10)
refine_after(*photo_and_scores(64), parameters, steps=[1, 3])
image, probabilities = photo_and_scores({SIDE_PX})
before = held_memory_mib() - probabilities.nbytes / 2**20
results = refine_after(image, probabilities, parameters, steps=[1, 3, 5, 10])
print(peak_memory_mib() - before)
"""
"""Compiles with a small image, and prints how many MiB a large one takes."""


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


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere no system says what a process holds now")
def test_an_image_takes_no_more_memory_than_is_counted_and_not_much_less() -> None:
    environment = {**os.environ, "PYTHONPATH": str(PROJECT / "src")}
    done = subprocess.run(
        [sys.executable, "-c", REFINES], capture_output=True, text=True, check=True, env=environment
    )  # fmt: skip
    measured_mib = float(done.stdout)
    counted_mib = bytes_per_image(num_classes=NUM_CLASSES, num_pixels=SIDE_PX**2) / 2**20
    assert measured_mib <= counted_mib <= 2.5 * measured_mib
