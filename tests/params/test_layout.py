"""`dvc exp run -S` changes one value of params.yaml and nothing else in it: DVC reads, edits and writes the file."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml
from dvc.utils.hydra import apply_overrides

from segbench import params
from tests.parameters import PARAMS_FILE, PROJECT

TEXT = PARAMS_FILE.read_text()


def written(folder: Path, text: str, *overrides: str) -> str:
    """The text as DVC writes it with some values set."""
    path = folder / "params.yaml"
    path.write_text(text)
    apply_overrides(path, list(overrides))
    return path.read_text()


def changed(before: str, after: str) -> list[str]:
    """The lines from the first to the last that differ, as `-old` and `+new`."""
    old, new = before.splitlines(), after.splitlines()
    for _ in range(2):  # what both start with, then what both end with
        while old and new and old[0] == new[0]:
            del old[0], new[0]
        old.reverse()
        new.reverse()
    return [f"-{line}" for line in old] + [f"+{line}" for line in new]


CASES = [
    ("benchmark.datasets=[camvid]", ["-  - scenes", "+  - camvid"]),
    ("benchmark.variants=[unet_no_skips]", ["-  variants: []", "+  variants:", "+  - unet_no_skips"]),
    ("datasets.scenes.source.seed=3", ["-      seed: 0", "+      seed: 3"]),
    ("datasets.camvid.input.tile_px=256", ["-      tile_px:", "+      tile_px: 256"]),
    ("datasets.camvid_disjoint.leave_out=[a]", ["-    leave_out: []", "+    leave_out:", "+    - a"]),
    ("+datasets.camvid_disjoint.predictions.x=y", ["-    predictions: {}", "+    predictions:", "+      x: y"]),
    ("datasets.camvid_disjoint.copies=0", ["-    copies: 10", "+    copies: 0"]),
    ("backbone.weights=none", ["-  weights: bundled", "+  weights: none"]),
    ("models.fcn_16s.dropout=0.25", ["-    dropout: 0.5", "+    dropout: 0.25"]),
    ("models.deeplab_v2.atrous_rates=[6,12,18,36]", ["-    - 24", "+    - 36"]),
    ("models.paper_fcn_8s.backbone.name=vgg19", [
        "-    backbone: {name: vgg16, weights: hub}", "+    backbone: {name: vgg19, weights: hub}",
    ]),
    ("variants.deeplab_v3_no_image_pooling.image_pooling=true", [
        "-  deeplab_v3_no_image_pooling: {of: deeplab_v3, image_pooling: false}",
        "+  deeplab_v3_no_image_pooling: {of: deeplab_v3, image_pooling: true}",
    ]),
    ("augment.seed=1", ["-  seed: 0", "+  seed: 1"]),
    ("train.lr=1e-05", ["-  lr: 0.004", "+  lr: 1e-05"]),
    ("train.gradient_clip_norm=null", [
        "-  gradient_clip_norm: 1.0 # empty: none", "+  gradient_clip_norm:     # empty: none",
    ]),
    ("crf.steps=[1,2,5,20]", ["-  - 10", "+  - 20"]),
    ("crf.objective=mean_dice", [
        "-  objective: mean_iou # or pixel_accuracy, mean_dice",
        "+  objective: mean_dice # or pixel_accuracy, mean_dice",
    ]),
    ("evaluate.trimap_widths_px=[3]", [
        "-evaluate: {trimap_widths_px: [1, 2, 4, 8, 16]}", "+evaluate: {trimap_widths_px: [3]}",
    ]),
    ("compare.figure_images=7", ["-  figure_images: 5", "+  figure_images: 7"]),
    ("champion.most_latency_ms=20", [
        "-  most_latency_ms: # per image, the CRF included", "+  most_latency_ms: 20 # per image, the CRF included",
    ]),
]  # fmt: skip


@pytest.mark.parametrize(("override", "lines"), CASES)
def test_a_value_is_set_and_every_other_byte_stays(tmp_path: Path, override: str, lines: list[str]) -> None:
    assert changed(TEXT, written(tmp_path, TEXT, override)) == lines


def test_a_value_of_each_section_is_set() -> None:
    sections = {re.split(r"\W", override.lstrip("+"))[0] for override, _ in CASES}
    assert sections == set(params.Params.model_fields)


def test_the_commented_example_survives_too(tmp_path: Path) -> None:
    in_use = re.sub(r"^  # (mine:|  .*)$", r"  \1", TEXT, flags=re.MULTILINE)
    assert "mine" in yaml.safe_load(in_use)["datasets"]
    assert changed(in_use, written(tmp_path, in_use, "compare.figure_images=7")) == [
        "-  figure_images: 5", "+  figure_images: 7",
    ]  # fmt: skip


def test_the_projects_file_survives_unless_edited(tmp_path: Path) -> None:
    unedited = subprocess.run(["git", "diff", "--quiet", "HEAD", "--", "params.yaml"], cwd=PROJECT)
    if unedited.returncode:
        pytest.skip("params.yaml is edited, or git does not tell")
    text = (PROJECT / "params.yaml").read_text()
    assert changed(text, written(tmp_path, text, "compare.figure_images=7")) == [
        "-  figure_images: 3", "+  figure_images: 7",
    ]  # fmt: skip


def test_a_small_number_that_dvc_writes_is_a_number(tmp_path: Path) -> None:
    arguments = "augment.transforms=[{GaussNoise:{std_range:[1e-05,2.5e+20],p:1.0}}]"
    path = tmp_path / "params.yaml"
    text = written(tmp_path, TEXT, "train.lr=1e-05", "train.search.candidates=[{lr:1e-06}]", arguments)
    assert "lr: 1e-05\n" in text and "- 1e-05\n" in text
    loaded = params.load(path)
    assert loaded.train.lr == 1e-05 and loaded.train.search.candidates == [{"lr": 1e-06}]
    assert loaded.augment.transforms == [{"GaussNoise": {"std_range": [1e-05, 2.5e20], "p": 1.0}}]
