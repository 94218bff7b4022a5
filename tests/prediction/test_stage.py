"""The stage `predict`: which network predicts which image, and what is timed."""

from pathlib import Path

import numpy as np
import pytest

from pipeline import predict
from segbench.files import read_json
from segbench.images import RGBImage, read_label_map
from segbench.labels import LabelMap
from segbench.prediction.predictor import WARM_UP_IMAGES, Predictor
from tests.prediction.untrained import MODEL, PREPARED, SCALE, SEEDS, WEIGHTS, enter


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


def test_images_are_timed_after_a_warm_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, _ = enter(tmp_path, monkeypatch)
    images = [data.image(row) for row in data.split("test")]
    calls: list[str] = []
    label_map = Predictor.label_map

    def spy(predictor: Predictor, image: RGBImage) -> LabelMap:
        (index,) = (index for index, known in enumerate(images) if np.array_equal(image, known))
        calls.append(f"image {index}")
        return label_map(predictor, image)

    monkeypatch.setattr(Predictor, "label_map", spy)
    monkeypatch.setattr(predict, "multiply_adds", lambda compute: 7)
    run()
    of_a_seed = [*WARM_UP_IMAGES * ["image 0"], "image 0", "image 1", "image 2"]
    assert calls == len(SEEDS) * of_a_seed
    costs = read_json(Path("prediction.json"))
    assert (costs["num_images"], costs["multiply_adds"]) == (len(images), 7)
