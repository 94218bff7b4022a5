"""The stage `predict`: which network predicts which image."""

from pathlib import Path

import numpy as np
import pytest

from pipeline import predict
from segbench.files import read_json
from segbench.images import read_label_map
from segbench.prediction.predictor import Predictor
from tests.prediction.untrained import MODEL, PREPARED, SCALE, WEIGHTS, enter


def run() -> None:
    predict.main(
        dataset="scenes", model=MODEL, prepared=PREPARED, weights=WEIGHTS, out=Path("predicted"),
        costs=Path("prediction.json"),
    )  # fmt: skip


def test_each_seeds_network_predicts_every_test_image_at_the_datasets_scale(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, networks = enter(tmp_path, monkeypatch)
    run()
    label_maps = {}
    for seed, network in networks.items():
        predictor = Predictor(network, scale=SCALE)
        for row in data.split("test"):
            label_maps[seed, row.name] = read_label_map(Path(f"predicted/{seed}/{row.name}.png"))
            np.testing.assert_array_equal(label_maps[seed, row.name], predictor.label_map(data.image(row)))
    assert len({label_map.tobytes() for label_map in label_maps.values()}) == len(label_maps)
    assert len(list(Path("predicted").rglob("*.png"))) == len(label_maps)


def test_images_are_seen_by_tiles_and_as_several_views_if_the_parameters_say_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = {"tile_px": 64, "test_time": {"flip": True, "scales": [1.0, 3.0]}}
    data, networks = enter(tmp_path, monkeypatch, seen=seen)
    run()
    for seed, network in networks.items():
        predictor = Predictor(network, scale=SCALE, tile_px=64, flip=True, scales=[1.0, 3.0])
        for row in data.split("test"):
            label_map = read_label_map(Path(f"predicted/{seed}/{row.name}.png"))
            np.testing.assert_array_equal(label_map, predictor.label_map(data.image(row)))
    costs = read_json(Path("prediction.json"))
    assert {name: costs[name] for name in seen} == seen


def test_the_costs_are_of_one_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    enter(tmp_path, monkeypatch)
    monkeypatch.setattr(predict, "multiply_adds", lambda compute: 7)
    run()
    costs = read_json(Path("prediction.json"))
    assert costs.keys() == {"machine", "multiply_adds", "peak_memory_mib"}
    assert costs["multiply_adds"] == 7
