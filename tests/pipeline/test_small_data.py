"""Data sets of a few small images go through every stage of a model, or are refused before any of them starts."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from segbench.datasets.prepared import Prepared
from segbench.errors import InputError
from segbench.files import read_csv
from segbench.images import read_label_map
from segbench.scoring.counts import read_counts
from tests.parameters import PARAMS_FILE, WHOLE_IMAGES
from tests.pipeline.stages import run_stage

COLORS = {"ground": (0, 0, 0), "disc": (200, 60, 0), "odd one": (0, 90, 250)}
STAGES = ("prepare", "augment", "train", "predict", "crf", "evaluate")
REPORTING = ("latency", "external", "claims", "compare", "package")


def write_project(
    root: Path, monkeypatch: pytest.MonkeyPatch, model: str, counts: tuple[int, int, int], *, odd_in: str,
    size_px: tuple[int, int] = (64, 48), crop_px: tuple[int, int] = (48, 64), batch_size: int = 8, **train: Any,
) -> None:  # fmt: skip
    """Images by lists, of which those of one split alone show the class `odd one`; the model trains for one epoch.

    counts: of images in train, val and test. size_px: (width, height); crop_px: (height, width).
    """
    data, rng, number = root / "data/raw/few", np.random.default_rng(0), 0
    data.mkdir(parents=True)
    for split, count in zip(("train", "val", "test"), counts, strict=True):
        names = [f"{number + index}" for index in range(count)]
        number += count
        for name in names:
            labels = np.zeros(size_px[::-1], np.uint8)
            labels[4:16, 3:15] = 1
            if split == odd_in:
                labels[-8:, -8:] = 2
            mask = np.array(list(COLORS.values()), np.uint8)[labels]
            photo = mask // 2 + rng.integers(0, 128, mask.shape, np.uint8)
            for kind, pixels in (("images", photo), ("masks", mask)):
                (data / kind).mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels).save(data / kind / f"{name}.png")
        (data / f"{split}.txt").write_text("\n".join(names))
    table = ["name,red,green,blue", *(f"{name},{','.join(map(str, color))}" for name, color in COLORS.items())]
    (data / "classes.csv").write_text("\n".join(table))
    parameters = yaml.safe_load(PARAMS_FILE.read_text())
    parameters["datasets"]["few"] = {
        "source": {
            "kind": "folder", "root": "data/raw/few", "bits": 8, "groups": None, "image_names": "{name}",
            "mask_names": "{name}", "mask_tolerance": 0, "masks_drawn_on": None, "split": {"by": "lists"},
        },
        "input": {"scale": 1.0, "crop_px": [*crop_px], **WHOLE_IMAGES}, "copies": 1, "leave_out": [],
        "train": {"epochs": 1, "batch_size": batch_size, "warmup_epochs": 0, **train},
        "claims": {"thin_classes": [], "context_classes": []}, "predictions": {},
    }  # fmt: skip
    parameters["benchmark"] = {"datasets": ["few"], "models": [model], "variants": []}
    parameters["crf"] |= {"trials": 2, "tuning_images": 2, "steps": [1]}
    (root / "params.yaml").write_text(yaml.safe_dump(parameters))
    for name in ("DVC_ROOT", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(root)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "counts", "odd_in", "how"),
    [
        ("fcn_8s", (1, 1, 1), "test", {"checkpoint": "best"}),
        ("pspnet", (2, 1, 1), "train", {"loss": {"cross_entropy": 1, "dice": 1}, "rare_class_sampling": 0.5}),
        ("deeplab_v3", (3, 1, 1), "val", {"batch_size": 2, "class_weights": "inverse_frequency"}),
        ("fcn_8s", (3, 1, 1), "train", {"size_px": (20, 30), "crop_px": (32, 32), "class_weights": "median_frequency"}),
        ("deeplab_v3_plus", (2, 1, 2), "test", {"size_px": (20, 20), "crop_px": (16, 16), "batch_size": 2}),
    ],
    ids=lambda value: str(value) if isinstance(value, str) else "+".join(map(str, value)),
)
def test_a_few_images_are_learnt_predicted_and_scored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: str, counts: tuple[int, int, int], odd_in: str,
    how: dict[str, Any],
) -> None:  # fmt: skip
    write_project(tmp_path, monkeypatch, model, counts, odd_in=odd_in, **how)
    run_stage("check")
    for stage in STAGES:
        run_stage(stage, dataset="few", model=model)
    data = Prepared.open(tmp_path / "data/prepared/few")
    assert tuple(len(data.split(split)) for split in ("train", "val", "test")) == counts
    report = tmp_path / "reports/few/models" / model
    assert [each["seed"] for each in json.loads((report / "training.json").read_text())["trainings"]] == [0]
    curves = read_csv(report / "curves.csv")
    assert np.isfinite(curves[["train_loss", "val_loss", "val_mean_iou"]].to_numpy()).all()
    rows = data.split("test")
    for row in rows:
        predicted = read_label_map(tmp_path / f"data/predictions/few/{model}/seed_0/{row.name}.png")
        assert predicted.shape == (row.height_px, row.width_px)
    (total,) = read_counts(report / "counts.npz")["off"].confusions
    assert total.sum() == sum(row.height_px * row.width_px for row in rows)
    assert (total[2].sum() > 0) == (odd_in == "test"), "true pixels of a class that other splits show"
    iou = json.loads((report / "scores.json").read_text())["crf_off"]
    assert 0 <= iou["mean_iou"] <= 1


@pytest.mark.slow
def test_one_image_of_each_split_without_one_of_the_classes_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_project(tmp_path, monkeypatch, "fcn_8s", (1, 1, 1), odd_in="nowhere", class_weights="inverse_frequency")
    for stage in ("check", *STAGES, *REPORTING):
        run_stage(stage, dataset="few", model="fcn_8s")
    table = read_csv(tmp_path / "reports/few/benchmark.csv")
    assert set(table["model"]) == {"fcn_8s"} and table["mIoU"].between(0, 1).all()
    assert set(table["num_classes_averaged"]) == {2}
    report = (tmp_path / "reports/few/benchmark.md").read_text()
    assert "ground | disc |\n" in report, "the class that no test image shows has no column"
    assert "nan" not in report
    claims = (tmp_path / "reports/few/claims.md").read_text()
    assert claims.count("(in no test image)") == 1 and "- mIoU: ground, disc, " in claims
    page = (tmp_path / "reports/few/index.html").read_text()
    assert "fcn_8s" in page and "nan %" not in page
    assert (tmp_path / "data/packages/few/fcn_8s/MLmodel").exists()


@pytest.mark.parametrize(
    ("model", "counts", "how", "says"),
    [
        ("fcn_8s", (1, 0, 0), {}, "the split val is empty; it must have at least one image"),
        ("fcn_8s", (0, 1, 1), {}, "the split train is empty; it must have at least one image"),
        (
            "pspnet",
            (1, 1, 1),
            {},
            "few: 1 training image and batch_size 8 make batches of one; pspnet needs two, since",
        ),
        (
            "fcn_8s",
            (1, 1, 1),
            {"crop_px": (16, 32)},
            "few: 1 training image and batch_size 8 make batches of one; fcn",
        ),
        ("fcn_8s", (4, 1, 1), {"crop_px": (16, 32), "batch_size": 1}, "few: 4 training images and batch_size 1 make"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_too_few_images_are_refused_before_any_stage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: str, counts: tuple[int, int, int], how: dict[str, Any],
    says: str,
) -> None:  # fmt: skip
    write_project(tmp_path, monkeypatch, model, counts, odd_in="train", **how)
    with pytest.raises(InputError) as caught:
        run_stage("check")
    assert says in str(caught.value) and "\n" not in str(caught.value)
