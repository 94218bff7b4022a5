"""`segbench predict --engine`: ONNX Runtime where it is faster, with the same label maps; PyTorch everywhere else."""

import time
from pathlib import Path

import cv2
import numpy as np
import platformdirs
import pytest
from PIL import Image

from segbench.cli import engines
from segbench.cli.commands import Engine
from segbench.cli.videos import CODEC, count_frames
from segbench.images import read_label_map
from segbench.packages.model import PackagedModel
from segbench.prediction.export import OnnxPredictor
from segbench.prediction.predictor import Predictor
from tests.cli.test_predict import segbench
from tests.packages.packaged import package_at

PIXELS = np.random.default_rng(0).integers(0, 256, (24, 40, 3), np.uint8)
USED = "note: exporting streets/color_clusters for ONNX Runtime, once"


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a package, a photo, and a user's folder for caches."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    package_at(tmp_path / "colors", scale=0.5)
    Image.fromarray(PIXELS).save(tmp_path / "photo.png")
    return tmp_path


class StandIn(OnnxPredictor):
    """Reads no file."""

    def __init__(self, path: Path, *, scale: float) -> None:
        self.scale = scale


def copies(work: Path) -> list[Path]:
    return [*platformdirs.user_cache_path("segbench").glob("*.onnx")]


@pytest.mark.slow
def test_onnx_runtime_labels_as_pytorch_with_a_copy_that_is_made_once(work: Path) -> None:
    expected = PackagedModel.open(work / "colors").label_map(PIXELS, crf=False)
    for out, told in (("first", [USED]), ("second", [])):
        done = segbench(work, "predict", "colors", "photo.png", "--out", out, "--no-crf", "--engine", "onnx")
        assert done.returncode == 0, done.stderr
        assert [line for line in done.stderr.splitlines() if line.startswith("note: exp")] == told
        assert np.mean(read_label_map(work / out / "label_maps/photo.png") == expected) > 0.999
    (copy,) = copies(work)
    assert copy.is_relative_to(work / "cache")


@pytest.mark.slow
def test_a_damaged_copy_is_made_anew(work: Path) -> None:
    segbench(work, "predict", "colors", "photo.png", "--out", "first", "--engine", "onnx")
    (copy,) = copies(work)
    whole = bytearray(copy.read_bytes())
    copy.write_bytes(whole[: len(whole) // 2])
    done = segbench(work, "predict", "colors", "photo.png", "--out", "second", "--engine", "onnx")
    assert done.returncode == 0 and "it is made anew" in done.stderr and USED in done.stderr
    assert copy.read_bytes() == whole


@pytest.mark.slow
def test_large_images_are_labelled_by_tiles_of_the_own_engine(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("segbench.prediction.tiles.MOST_PIXELS", 100)
    opened = PackagedModel.open(work / "colors")
    model = engines.with_engine(opened, work / "colors", Engine.onnx, num_images=1)
    seen = []
    monkeypatch.setattr(OnnxPredictor, "label_map", lambda self, image: seen.append("whole"))
    assert (model.label_map(PIXELS, crf=False) == opened.label_map(PIXELS, crf=False)).all() and not seen
    model.label_map(PIXELS[:10, :10], crf=False)
    assert seen == ["whole"]


@pytest.mark.parametrize(
    ("change", "num_images", "expected"),
    [
        ("", 1000, True),
        ("few images", 1, False),
        ("a copy is there", 60, True),
        ("a copy is there", 1, False),
        ("a slower architecture", 1000, False),
        ("PyTorch is faster here", 1000, False),
        ("tiles", 1000, False),
        ("views", 1000, False),
        ("not installed", 1000, False),
        ("a GPU", 1000, False),
        ("the export fails", 1000, False),
        ("asked for PyTorch", 1000, False),
    ],
)
def test_when_onnx_runtime_is_chosen(
    work: Path, monkeypatch: pytest.MonkeyPatch, change: str, num_images: int, expected: bool
) -> None:
    made = []

    def export(model: object, folder: Path, copy: Path) -> None:
        if change == "the export fails":
            raise OSError(28, "No space left on device")
        made.append(copy)

    monkeypatch.setattr(engines, "_export_once", export)
    monkeypatch.setattr(engines, "OnnxPredictor", StandIn)
    waits = {StandIn: 0.0, Predictor: 0.0, (StandIn if change == "PyTorch is faster here" else Predictor): 0.02}
    for of, seconds in waits.items():
        monkeypatch.setattr(of, "label_map", lambda self, image, seconds=seconds: time.sleep(seconds))
    if change != "a slower architecture":
        monkeypatch.setattr(engines, "FASTER_IN_ONNX", ("color_clusters",))
    if change == "not installed":
        monkeypatch.setattr(engines, "find_spec", lambda package: None if package == "onnxruntime" else "there")
    opened = PackagedModel.open(
        work / "colors", tile_px=64 if change == "tiles" else None, flip=True if change == "views" else None
    )
    assert isinstance(opened.predictor, Predictor)
    if change == "a GPU":
        opened.predictor.device = type("Device", (), {"type": "cuda"})()  # type: ignore[assignment]
    if change == "a copy is there":
        copy = platformdirs.user_cache_path("segbench") / f"{opened.card.weights_digest}.onnx"
        copy.parent.mkdir(parents=True)
        copy.touch()
    engine = Engine.torch if change == "asked for PyTorch" else Engine.auto
    model = engines.with_engine(opened, work / "colors", engine, num_images=num_images)
    assert isinstance(model.whole, StandIn) is expected
    assert bool(made) is (expected or change == "PyTorch is faster here")


def test_an_engine_that_cannot_be_used_is_told_in_one_line(work: Path) -> None:
    done = segbench(work, "predict", "colors", "photo.png", "--out", "out", "--engine", "onnx", "--flip")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("error: --engine onnx: ONNX Runtime sees whole images once")


def test_frames_of_videos_count_as_images(work: Path) -> None:
    writer = cv2.VideoWriter(str(work / "clip.webm"), cv2.VideoWriter.fourcc(*CODEC), 25.0, (40, 24))
    for _ in range(7):
        writer.write(PIXELS)
    writer.release()
    assert count_frames(work / "clip.webm") == 7
    assert count_frames(work / "photo.txt") == 0
