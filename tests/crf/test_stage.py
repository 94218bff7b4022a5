"""The stage `crf`: which images it tunes on, and which it refines."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline import crf
from segbench import params
from segbench.crf.inference import refined_label_map
from segbench.crf.search import Search, tune
from segbench.crf.tiles import refined_by_tiles
from segbench.crf.tuning import TuningImage
from segbench.files import read_json
from segbench.images import read_label_map
from segbench.prediction.predictor import Predictor
from tests.prediction.untrained import MODEL, PREPARED, SCALE, WEIGHTS, enter


@pytest.mark.parametrize("helps", [True, False])
def test_the_crf_is_tuned_on_validation_images_and_refines_each_seeds_test_images(
    helps: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, networks = enter(tmp_path, monkeypatch)
    tuned: list[TuningImage] = []
    found: list[Search] = []

    def spy(images: list[TuningImage], settings: params.CRF, *, device: str, workers: int) -> Search:
        tuned.extend(images)
        search = tune(images, settings, device=device, workers=workers)
        found.append(replace(search, score_without=0.0 if helps else 1.0))
        return found[0]

    monkeypatch.setattr(crf, "tune", spy)
    crf.main(
        dataset="scenes", model=MODEL, prepared=PREPARED, weights=WEIGHTS, out=Path("refined"),
        choice=Path("crf.json"), search=Path("search.png"), figure=Path("steps.png"),
    )  # fmt: skip
    rows = data.split("val")
    predictors = {seed: Predictor(network, scale=SCALE) for seed, network in networks.items()}
    first = next(iter(predictors.values()))
    assert len(tuned) == params.load().crf.tuning_images == len(rows)
    for row, tuning in zip(rows, tuned, strict=True):
        np.testing.assert_array_equal(tuning.image, data.image(row))
        np.testing.assert_array_equal(tuning.truth, data.label_map(row))
        np.testing.assert_allclose(tuning.probabilities, first.probabilities(tuning.image), atol=1e-5)

    choice = read_json(Path("crf.json"))
    assert choice["num_images"] == len(rows)
    assert (choice["chosen"] is not None) == helps == (choice["latency_ms"] > 0)
    for seed, predictor in predictors.items():
        refined = {path.stem: read_label_map(path) for path in Path("refined", seed).iterdir()}
        assert refined.keys() == {row.name for row in data.split("test")}
        for row in data.split("test"):
            image = data.image(row)
            expected = refined_label_map(image, predictor.probabilities(image), found[0].chosen)
            assert (refined[row.name] == expected).mean() > 0.99
            assert ((predictor.label_map(image) == expected).mean() < 0.99) == helps


def test_where_networks_predict_by_tiles_the_crf_refines_by_tiles(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, networks = enter(tmp_path, monkeypatch, seen={"tile_px": 64})
    tuned: list[TuningImage] = []
    found: list[Search] = []

    def spy(images: list[TuningImage], settings: params.CRF, *, device: str, workers: int) -> Search:
        tuned.extend(images)
        found.append(replace(tune(images, settings, device=device, workers=workers), score_without=0.0))
        return found[0]

    monkeypatch.setattr(crf, "tune", spy)
    monkeypatch.setattr(crf, "affordable_side_px", lambda num_classes: 40)
    crf.main(
        dataset="scenes", model=MODEL, prepared=PREPARED, weights=WEIGHTS, out=Path("refined"),
        choice=Path("crf.json"), search=Path("search.png"), figure=Path("steps.png"),
    )  # fmt: skip
    assert [example.truth.shape for example in tuned] == [(40, 40)] * len(data.split("val"))
    assert {example.whole_px for example in tuned} == {(48, 64)}
    assert read_json(Path("crf.json"))["latency_ms"] > 0
    for seed, network in networks.items():
        predictor = Predictor(network, scale=SCALE, tile_px=64)
        for row in data.split("test"):
            image = data.image(row)
            expected = refined_by_tiles(image, predictor.strips(image), found[0].chosen, tile_px=40, workers=1)
            np.testing.assert_array_equal(read_label_map(Path("refined", seed, f"{row.name}.png")), expected)
