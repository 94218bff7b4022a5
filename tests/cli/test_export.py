"""`segbench export`, and labelling images with what it wrote."""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from PIL import Image

from segbench.images import read_label_map
from segbench.packages.card import Card
from segbench.packages.model import PackagedModel
from tests.cli.test_predict import segbench
from tests.packages.packaged import package_at

PIXELS = np.random.default_rng(0).integers(0, 256, (24, 40, 3), np.uint8)


@pytest.fixture
def work(tmp_path: Path) -> Path:
    package_at(tmp_path / "colors", scale=0.5)
    Image.fromarray(PIXELS).save(tmp_path / "photo.png")
    return tmp_path


def test_an_onnx_file_labels_images_as_its_package(work: Path) -> None:
    done = segbench(work, "export", "colors", "--to", "onnx", "--out", "colors.onnx")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("% of pixels have the same class") == 4
    onnx.checker.check_model(work / "colors.onnx")
    model = PackagedModel.open(work / "colors")
    assert PackagedModel.open(work / "colors.onnx").card == model.card
    assert json.loads(segbench(work, "show", "colors.onnx").stdout) == model.card.model_dump(mode="json")
    for crf in (True, False):
        done = segbench(
            work, "predict", "colors.onnx", "photo.png", "--out", f"out{crf}", *([] if crf else ["--no-crf"])
        )
        assert done.returncode == 0, done.stderr
        found, expected = read_label_map(work / f"out{crf}/label_maps/photo.png"), model.label_map(PIXELS, crf=crf)
        assert np.mean(found == expected) > 0.999


def test_a_program_of_torch_computes_the_networks_logits(work: Path) -> None:
    done = segbench(work, "export", "colors", "--to", "torch", "--out", "colors.pt2")
    assert done.returncode == 0, done.stderr
    extra = {"segbench.card": ""}
    program = torch.export.load(work / "colors.pt2", extra_files=extra).module()
    card = PackagedModel.open(work / "colors").card
    assert Card.parse(extra["segbench.card"], where=work) == card
    images = torch.rand(2, 3, 33, 50)
    with torch.inference_mode():
        assert torch.allclose(program(images), PackagedModel.open(work / "colors").predictor.model(images), atol=1e-4)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (
            ["colors", "--to", "onnx", "--out", "colors.pt2"],
            "colors.pt2: the name of a file for onnx must end",
        ),
        (["colors", "--to", "torch", "--out", "there.pt2"], "there.pt2: there already; name another file"),
        (["nothing", "--to", "onnx", "--out", "x.onnx"], "nothing: no such folder"),
        (["colors", "--to", "onnx", "--out", "there.pt2/x.onnx"], "there.pt2: cannot be written to"),
        (["empty.onnx", "--to", "onnx", "--out", "x.onnx"], "empty.onnx: exported already; name the model that"),
    ],
)
def test_a_mistake_is_one_clear_line(work: Path, arguments: list[str], told: str) -> None:
    for name in ("there.pt2", "empty.onnx"):
        (work / name).touch()
    done = segbench(work, "export", *arguments)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"error: {told}")


def test_an_onnx_file_of_another_program_is_named(work: Path) -> None:
    segbench(work, "export", "colors", "--to", "onnx", "--out", "colors.onnx")
    model = onnx.load(work / "colors.onnx")
    del model.metadata_props[:]
    onnx.save(model, work / "other.onnx")
    (work / "broken.onnx").write_bytes(b"no model")
    for name, told in (("other", "its format is None"), ("broken", "not an ONNX file that can be run")):
        done = segbench(work, "predict", f"{name}.onnx", "photo.png", "--out", "out")
        assert done.returncode == 1 and done.stderr.startswith(f"error: {name}.onnx: {told}"), done.stderr
