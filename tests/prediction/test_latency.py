"""How latencies are measured: in turn, and robust against other work."""

from pathlib import Path

import numpy as np
import pytest

from pipeline import latency as stage
from segbench.files import read_json
from segbench.images import RGBImage
from segbench.parallel import num_cores
from segbench.prediction import latency
from tests.prediction.untrained import PREPARED, enter


def test_networks_are_timed_in_turn_after_a_warm_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(latency, "ROUNDS", 2)
    calls: list[str] = []
    images = [np.full((2, 2, 3), shade, np.uint8) for shade in (0, 1)]

    def network(name: str, image: RGBImage) -> None:
        calls.append(f"{name}{image[0, 0, 0]}")

    found = latency.measure_latencies(
        {"a": lambda image: network("a", image), "b": lambda image: network("b", image)}, images
    )
    assert calls == [*3 * ["a0"], *3 * ["b0"], *2 * ["a0", "b0", "a1", "b1"]]
    assert found.keys() == {"a", "b"}


def test_rounds_that_other_work_slows_do_not_change_a_latency() -> None:
    times_ms = np.random.default_rng(0).normal(20, 0.1, (12, 10))
    quiet = latency.summarise_rounds(times_ms)
    busy = times_ms.copy()
    busy[::2] *= 10
    busy[:, 0] *= 100  # a slow image
    disturbed = latency.summarise_rounds(busy)
    assert quiet.latency_ms == pytest.approx(20, abs=0.1)
    assert disturbed.latency_ms == pytest.approx(quiet.latency_ms, abs=0.1)


def test_the_interval_holds_the_latency_and_is_the_wider_the_more_images_differ() -> None:
    rng = np.random.default_rng(0)
    widths = []
    for spread_ms in (0.1, 5):
        found = latency.summarise_rounds(20 + rng.uniform(0, spread_ms, (1, 30)) + np.zeros((12, 1)))
        assert found.latency_low_ms <= found.latency_ms <= found.latency_high_ms
        widths.append(found.latency_high_ms - found.latency_low_ms)
    assert 0 < 10 * widths[0] < widths[1]


def test_the_stage_says_what_it_was_measured_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without any weights: images of 64x48 px, which the networks see at half of their size."""
    enter(tmp_path, monkeypatch)
    stage.main(dataset="scenes", prepared=PREPARED, out=Path("latency.json"))
    report = read_json(Path("latency.json"))
    assert (report["rounds"], report["num_images"]) == (latency.ROUNDS, 3)
    assert list(report["models"]) == ["color_clusters", "fcn_8s"]
    for found in report["models"].values():
        assert found["latency_low_ms"] <= found["latency_ms"] <= found["latency_high_ms"]
        assert (found["latency_cores"], found["latency_input_px"]) == (num_cores(), "32x24")
        assert found["latency_device"]
    assert report["models"]["fcn_8s"]["latency_ms"] > report["models"]["color_clusters"]["latency_ms"]
