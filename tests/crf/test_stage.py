"""The stage `crf`: which images it tunes on, and which it refines."""

from pathlib import Path

import numpy as np
import pytest
import yaml

from pipeline import crf
from segbench import params
from segbench.crf.search import Search, TuningImage, tune
from segbench.datasets import scenes
from segbench.datasets.preparation import prepare
from segbench.files import read_json
from segbench.images import read_label_map
from segbench.models.build import build_model
from segbench.models.weights import save_weights
from segbench.prediction.predictor import Predictor
from tests.pipeline.stages import tiny_parameters


def test_the_crf_is_tuned_on_validation_images_and_refines_the_test_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text(yaml.safe_dump(tiny_parameters()))
    parameters = params.load()
    source = scenes.open_source(seed=0, width_px=64, height_px=48, num_train=1, num_val=2, num_test=3)
    data = prepare(source, tmp_path / "prepared")
    model = parameters.model("sliding_window")
    network = build_model(model, backbone=parameters.backbone, num_classes=len(data.classes))
    Path("weights").mkdir()
    save_weights(network, Path("weights/seed_0.pt"))
    tuned: list[TuningImage] = []

    def spy(images: list[TuningImage], search: params.CRF, *, device: str, workers: int) -> Search:
        tuned.extend(images)
        return tune(images, search, device=device, workers=workers)

    monkeypatch.setattr(crf, "tune", spy)
    crf.main(
        dataset="scenes", model="sliding_window", prepared=tmp_path / "prepared", weights=Path("weights"),
        out=Path("refined"), choice=Path("crf.json"), search=Path("search.csv"), figure=Path("steps.png"),
    )  # fmt: skip
    rows, predictor = data.split("val"), Predictor(network, scale=1.0)
    assert len(tuned) == parameters.crf.tuning_images == len(rows)
    for row, image in zip(rows, tuned, strict=True):
        np.testing.assert_array_equal(image.image, data.image(row))
        np.testing.assert_array_equal(image.truth, data.label_map(row))
        np.testing.assert_allclose(image.probabilities, predictor.probabilities(image.image), atol=1e-5)
    assert read_json(Path("crf.json"))["num_images"] == len(rows)
    refined = {path.stem: read_label_map(path) for path in Path("refined/seed_0").glob("*.png")}
    assert refined.keys() == {row.name for row in data.split("test")}
