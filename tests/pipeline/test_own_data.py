"""Users' folders go through check and prepare with an entry of params.yaml, and say what is wrong with them."""

import json
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from mlflow import MlflowClient
from PIL import Image, ImageDraw

from segbench import tracking
from segbench.datasets.prepared import Prepared
from segbench.errors import InputError
from tests.parameters import PARAMS_FILE, WHOLE_IMAGES
from tests.pipeline.stages import run_stage

pytestmark = pytest.mark.slow

COLORS = [(0, 0, 0), (128, 64, 128), (70, 130, 180), (220, 20, 60)]
ENTRY: dict[str, Any] = {
    "input": {"scale": 0.25, "crop_px": [128, 128], **WHOLE_IMAGES}, "copies": 2, "train": {"epochs": 2},
    "claims": {"thin_classes": [], "context_classes": []}, "predictions": {}, "leave_out": [],
}  # fmt: skip


def write_cells(root: Path) -> None:
    """30 grey images of 512x512 px, with bright discs, and masks that are 255 there."""
    _write(root, fills=[255], mode="L")
    (root / "classes.csv").write_text("name,value\nbackground,0\ncell,255\n")


def write_shapes(root: Path) -> None:
    """30 colour images of 512x512 px with discs of three kinds, and masks in their colours."""
    _write(root, fills=COLORS[1:], mode="RGB")
    lines = [f"kind {index},{','.join(map(str, color))}" for index, color in enumerate(COLORS)]
    (root / "classes.csv").write_text("\n".join(["name,red,green,blue", *lines]))


def _write(root: Path, *, fills: list[Any], mode: str) -> None:
    rng = np.random.default_rng(0)
    for name in ("images", "masks"):
        (root / name).mkdir(parents=True)
    for index in range(30):
        noise = rng.integers(0, 100, (512, 512) if mode == "L" else (512, 512, 3), np.uint8)
        image, mask = Image.fromarray(noise), Image.new(mode, (512, 512))
        for kind, fill in enumerate(fills):
            for x, y in rng.integers(0, 460, (4, 2)).tolist():
                shape = (x, y, x + 50, y + 50)
                ImageDraw.Draw(image).ellipse(shape, fill=150 if mode == "L" else (200, 60 * kind, 100))
                ImageDraw.Draw(mask).ellipse(shape, fill=fill)
        image.save(root / "images" / f"{index:02d}.png")
        mask.save(root / "masks" / f"{index:02d}.png")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with params.yaml and the two datasets."""
    parameters = yaml.safe_load(PARAMS_FILE.read_text())
    for name in ("cells", "shapes"):
        split = {"by": "ratio", "val": 0.2, "test": 0.2, "seed": 0}
        source = {
            "kind": "folder", "root": f"data/raw/{name}", "bits": 8, "groups": None, "image_names": "{name}",
            "mask_names": "{name}", "mask_tolerance": 0, "masks_drawn_on": None, "split": split,
        }  # fmt: skip
        parameters["datasets"][name] = {"source": source, **ENTRY}
    parameters["benchmark"]["datasets"] = ["cells", "shapes"]
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(parameters))
    write_cells(tmp_path / "data/raw/cells")
    write_shapes(tmp_path / "data/raw/shapes")
    for name in ("DVC_ROOT", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
    before = Path.cwd()
    os.chdir(tmp_path)
    yield tmp_path
    os.chdir(before)


def test_black_and_white_and_coloured_masks_are_prepared(project: Path) -> None:
    run_stage("check")
    for name, num_classes in (("cells", 2), ("shapes", 4)):
        run_stage("prepare", dataset=name)
        data = Prepared.open(project / "data/prepared" / name)
        assert {split: len(data.split(split)) for split in ("train", "val", "test")} == {
            "train": 18,
            "val": 6,
            "test": 6,
        }
        assert len(data.classes) == num_classes
        for row in data.rows:
            assert min(row.class_pixels) > 0
            assert row.ignored_pixels == 0
        assert (project / f"reports/{name}/audit.md").read_text().startswith(f"# Audit of {name}\n")
        with Image.open(project / f"reports/{name}/images.jpg") as sheet:
            assert sheet.width > 500


@pytest.mark.parametrize(
    ("backbone", "weights", "message"),
    [
        ("resnet_x", "none", "backbone.name is resnet_x; it must be a model of timm"),
        ("vit_tiny_patch16_224", "none", "backbone.name is"),
        ("resnet18", "hub", "backbone.weights is hub, but resnet18 cannot be downloaded"),
    ],
)
def test_a_backbone_that_fits_no_model_is_found_before_any_stage(
    project: Path, monkeypatch: pytest.MonkeyPatch, backbone: str, weights: str, message: str
) -> None:
    """Or one whose weights are out of reach, as on a machine that is offline and has not downloaded them."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(project / "cache"))
    parameters = yaml.safe_load((project / "params.yaml").read_text())
    parameters["backbone"] = {"name": backbone, "weights": weights}
    parameters["benchmark"]["models"] = ["color_clusters", "deeplab_v3"]
    (project / "params.yaml").write_text(yaml.safe_dump(parameters))
    with pytest.raises(InputError, match=re.escape(message)):
        run_stage("check")


def select(project: Path, *models: str, **changes: Any) -> None:
    """Edit params.yaml: the dataset cells alone, these models, and changes of its entry."""
    parameters = yaml.safe_load((project / "params.yaml").read_text())
    parameters["benchmark"] = {"datasets": ["cells"], "models": list(models), "variants": []}
    parameters["datasets"]["cells"] |= changes
    (project / "params.yaml").write_text(yaml.safe_dump(parameters))


def keep_images(project: Path, count: int) -> None:
    for path in (project / "data/raw/cells").glob("*/*.png"):
        if int(path.stem) >= count:
            path.unlink()


def test_one_training_image_is_too_few_where_batch_norm_would_see_one_value(project: Path) -> None:
    keep_images(project, 3)
    select(project, "fcn_8s", "deeplab_v3", "color_clusters")
    with pytest.raises(InputError) as caught:
        run_stage("check")
    assert str(caught.value) == (
        "cells: 1 training image and batch_size 8 make batches of one; deeplab_v3 needs two, since its batch norm "
        "after pooling the image would see one value"
    )
    small = {"input": {"scale": 0.25, "crop_px": [32, 32], **WHOLE_IMAGES}}
    select(project, "fcn_8s", "deeplab_v1", "color_clusters", **small)
    with pytest.raises(InputError) as caught:
        run_stage("check")
    assert str(caught.value) == (
        "cells: 1 training image and batch_size 8 make batches of one; fcn_8s needs two, or input.crop_px above 32, "
        "or its batch norm would see one value"
    )
    select(project, "deeplab_v1", "color_clusters", **small)
    run_stage("check")
    select(project, "fcn_8s", "unet", input={"scale": 0.25, "crop_px": [32, 64], **WHOLE_IMAGES})
    run_stage("check")


def test_fewer_images_than_splits_are_refused(project: Path) -> None:
    keep_images(project, 2)
    select(project, "fcn_8s")
    with pytest.raises(
        InputError, match=r"images: 2 images; a split by ratio needs at least 3, one for each of train, val, test$"
    ):
        run_stage("check")


def test_files_names_are_checked_before_any_stage(project: Path) -> None:
    (project / "data/raw/cells/masks/07.png").unlink()
    with pytest.raises(InputError, match=r"images/07.png: no mask .*/masks/07\.\*$"):
        run_stage("check")


def test_what_the_audit_finds_is_printed_written_and_logged(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    masks = project / "data/raw/cells/masks"
    for path in masks.iterdir():
        Image.new("L", (512, 512)).save(path)
    run_stage("prepare", dataset="cells")
    message = "train has no pixel of cell"
    assert f"warning: cells: {message}; see reports/cells/audit.md\n" in capsys.readouterr().err
    assert f"**Warning:** {message}.\n" in (project / "reports/cells/audit.md").read_text()
    assert tracking.send_waiting()
    client = MlflowClient(f"sqlite:///{project / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("cells")
    assert experiment is not None
    (run,) = (run for run in client.search_runs([experiment.experiment_id]) if run.info.run_name != "benchmark")
    assert run.info.run_name == "audit"
    assert message in run.data.tags.values()
    assert run.data.metrics["images"] == 30
    assert {item.path for item in client.list_artifacts(run.info.run_id)} == {"audit.md", "images.jpg"}


def test_a_wrong_mask_stops_the_stage_and_spares_what_was_there(project: Path) -> None:
    run_stage("prepare", dataset="cells")
    kept = {path: path.read_bytes() for name in ("data/prepared", "reports") for path in (project / name).rglob("*.*")}
    Image.new("L", (512, 512), 128).save(project / "data/raw/cells/masks/07.png")
    with pytest.raises(InputError, match=r"masks/07.png: value 128 is no class's; those are 0, 255; 262144 of"):
        run_stage("prepare", dataset="cells")
    assert all(path.read_bytes() == content for path, content in kept.items())


def test_a_class_table_that_is_wrong_is_found_before_any_stage(project: Path) -> None:
    (project / "data/raw/cells/classes.csv").write_text("name value\n")
    with pytest.raises(InputError, match=r"cells/classes.csv: no column name; its first line is name value$"):
        run_stage("check")


def edit_params(project: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    parameters = yaml.safe_load((project / "params.yaml").read_text())
    change(parameters)
    (project / "params.yaml").write_text(yaml.safe_dump(parameters))


def changed_by(project: Path, change: Callable[[], Any]) -> dict[str, set[str]]:
    """Of which files `check` writes other digests after a change, by the file of digests, whose parameters DVC sees."""

    def digests() -> dict[str, dict[str, str]]:
        run_stage("check")
        folder = project / "data/sources"
        return {str(path.relative_to(folder)): json.loads(path.read_text()) for path in folder.rglob("*.json")}

    before = digests()
    change()
    after = digests()
    return {
        name: {key for key in before[name].keys() | new.keys() if before[name].get(key) != new.get(key)}
        for name, new in after.items()
        if before[name] != new
    }


def test_dvc_sees_a_change_of_every_file_that_params_name(project: Path) -> None:
    root = project / "data/raw/cells"
    (project / "theirs/more").mkdir(parents=True)
    (project / "my.pth").write_bytes(b"some weights")
    edit_params(project, lambda p: p["backbone"].update(weights="my.pth"))
    edit_params(project, lambda p: p["datasets"]["cells"].update(predictions={"theirs": "theirs"}))
    edit_params(project, lambda p: p["benchmark"].update(models=["fcn_8s"], variants=["fcn_8s_bilinear"]))
    classes = root / "classes.csv"

    def change() -> None:
        classes.write_text(classes.read_text().replace("cell", "nucleus"))
        (root / "groups.csv").write_text("name,group\n")
        (root / "train.txt").write_text("00\n")
        Image.new("L", (512, 512)).save(root / "masks/00.png")
        (project / "data/raw/shapes/classes.csv").touch()
        (project / "theirs/more/a.png").touch()
        (project / "my.pth").write_bytes(b"other weights")

    assert changed_by(project, change) == {
        "prepare/cells.json": {
            f"data/raw/cells/{name}" for name in ("classes.csv", "groups.csv", "train.txt", "masks")
        },
        "external.json": {"theirs"},
        "train/fcn_8s.json": {"my.pth"},
        "variant/fcn_8s_bilinear.json": {"my.pth"},
    }
