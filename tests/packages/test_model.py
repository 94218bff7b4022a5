"""A package holds the network that was packaged, and says what is wrong with one that is damaged."""

import json
from pathlib import Path

import numpy as np
import pytest

from segbench.crf.inference import refined_label_map
from segbench.crf.tiles import refined_by_tiles
from segbench.errors import InputError
from segbench.packages.card import CARD, IN_MLFLOW, Card
from segbench.packages.model import WEIGHTS, PackagedModel
from segbench.prediction.predictor import Predictor
from tests.packages.packaged import card_of, package_at

RNG = np.random.default_rng(0)
IMAGE = RNG.integers(0, 256, (41, 56, 3), np.uint8)


@pytest.mark.parametrize(("model", "scale"), [("color_clusters", 0.5), ("fcn_8s", 1.0)])
def test_a_package_predicts_as_the_network_that_it_holds(tmp_path: Path, model: str, scale: float) -> None:
    network = package_at(tmp_path / "model", model=model, scale=scale)
    packaged, predictor = PackagedModel.open(tmp_path / "model"), Predictor(network, scale=scale)
    assert np.array_equal(packaged.probabilities(IMAGE), predictor.probabilities(IMAGE))
    assert np.array_equal(packaged.label_map(IMAGE, crf=False), predictor.label_map(IMAGE))
    refined = packaged.label_map(IMAGE, crf=True)
    parameters = packaged.card.crf_parameters
    assert parameters is not None and parameters.steps == 2
    assert np.array_equal(refined, refined_label_map(IMAGE, predictor.probabilities(IMAGE), parameters))
    changes = not np.array_equal(refined, packaged.label_map(IMAGE, crf=False))
    assert changes == (model == "color_clusters"), "an untrained FCN knows one class"


def test_a_package_predicts_and_refines_by_tiles_and_views_as_its_card_says(tmp_path: Path) -> None:
    network = package_at(tmp_path / "model")
    path = tmp_path / "model" / CARD
    plain = PackagedModel.open(tmp_path / "model")
    path.write_text(json.dumps(json.loads(path.read_text()) | {"tile_px": 64, "flip": True, "scales": [0.5, 1]}))
    packaged = PackagedModel.open(tmp_path / "model")
    predictor = Predictor(network, scale=1.0, tile_px=64, flip=True, scales=[0.5, 1])
    image = RNG.integers(0, 256, (101, 130, 3), np.uint8)
    assert np.array_equal(packaged.label_map(image, crf=False), predictor.label_map(image))
    assert not np.array_equal(packaged.label_map(image, crf=False), plain.label_map(image, crf=False))
    parameters = packaged.card.crf_parameters
    expected = refined_by_tiles(image, predictor.strips(image), parameters, tile_px=1000, workers=1)
    assert np.array_equal(packaged.label_map(image, crf=True), expected)


def test_without_a_crf_none_is_used(tmp_path: Path) -> None:
    package_at(tmp_path / "model", crf=False)
    packaged = PackagedModel.open(tmp_path / "model")
    assert np.array_equal(packaged.label_map(IMAGE, crf=True), packaged.label_map(IMAGE, crf=False))


def test_a_card_is_read_as_it_was_written(tmp_path: Path) -> None:
    for model in ("color_clusters", "sliding_window", "unet", "deeplab_v3_plus"):
        card_of(model).write(tmp_path)
        assert Card.read(tmp_path) == card_of(model)


def test_an_mlflow_model_is_opened_by_its_folder(tmp_path: Path) -> None:
    package_at(tmp_path / IN_MLFLOW)
    assert PackagedModel.open(tmp_path).card.name == "streets/color_clusters"


def test_what_is_no_package_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^.*/nowhere: no such folder; "):
        PackagedModel.open(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r": no packaged model, which has a model\.json; "):
        PackagedModel.open(tmp_path)


def test_a_package_of_another_version_is_named(tmp_path: Path) -> None:
    package_at(tmp_path / "model")
    card = tmp_path / "model" / CARD
    content = json.loads(card.read_text())
    card.write_text(json.dumps({**content, "format": 2}))
    with pytest.raises(InputError, match=r"model\.json: its format is 2, and this version of segbench reads 1; "):
        PackagedModel.open(tmp_path / "model")
    card.write_text(json.dumps({**content, "architecture": {**content["architecture"], "new": 1}}))
    with pytest.raises(InputError, match=r"model\.json: architecture(?s:.*)another version of segbench, or edited$"):
        PackagedModel.open(tmp_path / "model")
    card.write_text("[]")
    with pytest.raises(InputError, match="its format is None"):
        PackagedModel.open(tmp_path / "model")


def test_damaged_weights_are_named(tmp_path: Path) -> None:
    package_at(tmp_path / "model")
    weights = tmp_path / "model" / WEIGHTS
    content = bytearray(weights.read_bytes())
    content[-3] ^= 1
    weights.write_bytes(content)
    with pytest.raises(InputError, match=r"weights\.safetensors: damaged: its sha256"):
        PackagedModel.open(tmp_path / "model")
    weights.unlink()
    with pytest.raises(InputError, match=r"weights\.safetensors: no such file"):
        PackagedModel.open(tmp_path / "model")


def test_weights_of_another_network_are_named(tmp_path: Path) -> None:
    package_at(tmp_path / "model")
    package_at(tmp_path / "other", model="fcn_8s")
    card = json.loads((tmp_path / "model" / CARD).read_text())
    other = json.loads((tmp_path / "other" / CARD).read_text())
    (tmp_path / "model" / WEIGHTS).write_bytes((tmp_path / "other" / WEIGHTS).read_bytes())
    (tmp_path / "model" / CARD).write_text(json.dumps({**card, "weights_digest": other["weights_digest"]}))
    with pytest.raises(InputError, match=r"not the weights of this network"):
        PackagedModel.open(tmp_path / "model")


@pytest.mark.parametrize(
    ("side_px", "scale", "tile_px"),
    [
        (2000, 1.0, None),
        (2001, 1.0, 768),
        (4000, 0.5, None),
        (13_000, 1.0, 768),
        (15_000, 1.0, 768),
        (15_000, 0.1, None),
    ],
)
def test_tiles_are_chosen_by_an_images_size_alone(
    tmp_path: Path, side_px: int, scale: float, tile_px: int | None
) -> None:
    package_at(tmp_path / "model", scale=scale)
    huge = np.broadcast_to(np.uint8(0), (side_px, side_px, 3))  # takes one byte
    assert PackagedModel.open(tmp_path / "model").tile_px(huge) == tile_px
    views = PackagedModel.open(tmp_path / "model", scales=(0.5, 2.0))
    assert views.tile_px(huge[: (side_px + 1) // 2, : (side_px + 1) // 2]) == tile_px, "the largest view counts"
