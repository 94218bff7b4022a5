"""`segbench predict` and `segbench show`, as a user calls them."""

import csv
import json
import subprocess
import sys
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import sync_playwright

from segbench.cli import main
from segbench.cli.images import find_inputs
from segbench.cli.videos import label_video
from segbench.errors import InputError
from segbench.images import read_label_map
from segbench.packages.model import PackagedModel
from tests.packages.packaged import CLASSES, package_at
from tests.parameters import PROJECT
from tests.report.pages.test_page import CHROMIUM

PIXELS = np.random.default_rng(0).integers(0, 256, (24, 40, 3), np.uint8)


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """A folder with a packaged model, as the pipeline leaves it, and photos/ with images of all kinds."""
    package_at(tmp_path / "data/packages/streets/colors")
    photos = tmp_path / "photos"
    (photos / "day").mkdir(parents=True)
    Image.fromarray(PIXELS).save(photos / "rgb.png")
    Image.fromarray(PIXELS[..., 0]).save(photos / "day" / "grey.png")
    Image.fromarray(PIXELS).convert("RGBA").save(photos / "opaque.png")
    cv2.imwrite(str(photos / "deep.png"), (PIXELS[..., ::-1].astype(np.uint16) * 257)[:, :, ::-1][..., ::-1])
    Image.fromarray(PIXELS[:1, :1]).save(photos / "one.png")
    exif = Image.Exif()
    exif[274] = 6
    Image.fromarray(PIXELS).save(photos / "turned.png", exif=exif)
    (photos / "._rgb.png").write_bytes(b"of macOS")
    (photos / "notes.txt").write_text("no image")
    return tmp_path


def segbench(work: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """What `segbench ARGUMENTS` does in the folder, in this process, which has imported torch already."""
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(StringIO()) as out, redirect_stderr(StringIO()) as err:
        patch.chdir(work)
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        patch.setattr(sys, "argv", ["segbench", *arguments])
        try:
            main()
            code: int | str | None = 0
        except SystemExit as ended:
            code = ended.code
        if isinstance(code, str):  # as Python does
            print(code, file=sys.stderr)
            code = 1
    return subprocess.CompletedProcess(arguments, code or 0, out.getvalue(), err.getvalue())


def rows_of(out: Path) -> dict[str, dict[str, str]]:
    with (out / "summary.csv").open() as file:
        return {Path(row["image"]).stem: row for row in csv.DictReader(file)}


def test_a_folder_of_all_kinds_of_images_is_labelled(work: Path) -> None:
    done = segbench(work, "predict", "streets/colors", "photos", "--out", "out", "--probabilities", "--bits", "16")
    assert done.returncode == 0, done.stderr
    names = {"rgb", "day/grey", "opaque", "deep", "one", "turned"}
    for folder, suffix in (("label_maps", ".png"), ("overlays", ".jpg"), ("probabilities", ".npz")):
        found = {
            path.relative_to(work / "out" / folder).with_suffix("").as_posix()
            for path in (work / "out" / folder).rglob(f"*{suffix}")
        }
        assert found == names
    model = PackagedModel.open(work / "data/packages/streets/colors")
    expected = model.label_map(PIXELS, crf=True)
    label_maps = {name: read_label_map(work / f"out/label_maps/{name}.png") for name in names}
    for name in ("rgb", "opaque", "deep"):
        assert np.array_equal(label_maps[name], expected), name
    assert label_maps["turned"].shape == (40, 24) and label_maps["one"].shape == (1, 1)
    upright = np.ascontiguousarray(np.rot90(PIXELS, -1))
    assert np.array_equal(label_maps["turned"], model.label_map(upright, crf=True))
    with Image.open(work / "out/label_maps/rgb.png") as image:
        assert image.mode == "P" and np.array_equal(np.asarray(image.convert("RGB")), CLASSES.colorize(expected))
    with np.load(work / "out/probabilities/rgb.npz") as stored:
        assert np.allclose(stored["probabilities"], model.probabilities(PIXELS), atol=1e-3)
    rows = rows_of(work / "out")
    assert len(rows) == 6 and (rows["turned"]["width_px"], rows["turned"]["height_px"]) == ("24", "40")
    for index, name in enumerate(CLASSES.names):
        assert float(rows["rgb"][f"share_{name}"]) == pytest.approx(np.mean(expected == index), abs=1e-6)
    assert [row["shares"] for row in json.loads((work / "out/summary.json").read_text()) if "rgb" in row["image"]] == [
        {name: pytest.approx(np.mean(expected == index)) for index, name in enumerate(CLASSES.names)}
    ]


def test_without_the_crf_label_maps_are_the_networks_own(work: Path) -> None:
    assert (
        segbench(
            work, "predict", "streets/colors", "photos/rgb.png", "--out", "out", "--no-crf", "--no-overlays"
        ).returncode
        == 0
    )
    model = PackagedModel.open(work / "data/packages/streets/colors")
    label_map = read_label_map(work / "out/label_maps/rgb.png")
    assert np.array_equal(label_map, model.label_map(PIXELS, crf=False))
    assert not np.array_equal(label_map, model.label_map(PIXELS, crf=True))
    assert not (work / "out/overlays").exists() and not (work / "out/probabilities").exists()


def test_an_overlay_shows_image_classes_and_their_names(work: Path) -> None:
    Image.fromarray(PIXELS[:3, :3]).resize((64, 48), Image.Resampling.NEAREST).save(work / "photos/rgb.png")
    segbench(work, "predict", "streets/colors", "photos/rgb.png", "--out", "out", "--no-crf")
    with Image.open(work / "photos/rgb.png") as image:
        pixels = np.asarray(image)
    with Image.open(work / "out/overlays/rgb.jpg") as image:
        overlay = np.asarray(image).astype(int)
    label_map = read_label_map(work / "out/label_maps/rgb.png")
    expected = 0.45 * pixels + 0.55 * CLASSES.colorize(label_map)
    assert overlay.shape[0] > 48 and overlay.shape[1] >= 64
    assert np.abs(overlay[:48, :64] - expected).mean() < 5
    legend = overlay[48:].reshape(-1, 3)
    for index in np.unique(label_map):
        assert np.abs(legend - CLASSES.colors[index]).sum(axis=1).min() < 24


def test_bad_files_are_named_and_left_out_and_good_ones_are_kept(work: Path) -> None:
    good = (work / "photos/rgb.png").read_bytes()
    (work / "photos/cut.png").write_bytes(good[: len(good) // 2])
    hidden = Image.fromarray(PIXELS).convert("RGBA")
    hidden.putalpha(100)
    hidden.save(work / "photos/hidden.png")
    done = segbench(work, "predict", "streets/colors", "photos", "--out", "out")
    assert done.returncode == 3
    told = [line for line in done.stderr.splitlines() if line.startswith("left out: ")]
    assert len(told) == 3 and "3 left out, as said above" in done.stderr and "Traceback" not in done.stderr
    assert any("photos/cut.png: not a readable image" in line for line in told)
    assert any(
        "photos/deep.png: level 65535 is above 255, the most that 8 bits hold; set `bits`" in line for line in told
    )
    assert any("photos/hidden.png: 960 of 960 pixels are not opaque" in line for line in told)
    assert len(rows_of(work / "out")) == 5 and not (work / "out/label_maps/cut.png").exists()


def test_results_are_not_replaced_unless_asked_for(work: Path) -> None:
    arguments = ("predict", "streets/colors", "photos/rgb.png", "--out", "out")
    assert segbench(work, *arguments).returncode == 0
    (work / "out/label_maps/rgb.png").write_bytes(b"a user's edit")
    refused = segbench(work, *arguments)
    assert refused.returncode == 1
    assert refused.stderr.startswith("error: out/label_maps/rgb.png and 1 more: there already; name another folder")
    assert (work / "out/label_maps/rgb.png").read_bytes() == b"a user's edit"
    assert segbench(work, *arguments, "--overwrite").returncode == 0
    assert read_label_map(work / "out/label_maps/rgb.png").shape == (24, 40)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["streets/color", "photos"], "streets/color: no such folder, and no packaged model of this project; packaged"),
        (["streets/colors", "photo"], "photo: no such file or folder"),
        (["streets/colors", "photos/*.gif"], "photos/*.gif: the pattern matches no file"),
        (["streets/colors", "empty"], "empty: no image in this folder"),
        (["streets/colors", "photos/rgb.png", "same/rgb.jpg"], "same/rgb.jpg: it would get the name of photos/rgb.png"),
        (["empty", "photos"], "empty: no packaged model, which has a model.json"),
        (["models:/segbench-streets@champion", "photos"], "not in the MLflow store"),
        (["streets/colors", "photos", "--out", "taken/inside"], "taken/inside: cannot be written to"),
        (["streets/colors", "photos", "--tile-px", "100"], "--tile-px is 100; it must be a multiple of 32"),
        (["streets/colors", "photos", "--view-scale", "9"], "--view-scale is 9; it must be 0.25 to 4"),
        (["streets/colors", "a.mp4", "same/a.mov"], "same/a.mov: it would get the name of a.mp4; label"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_clear_line(work: Path, arguments: Sequence[str], told: str) -> None:
    for folder in ("empty", "same"):
        (work / folder).mkdir()
    Image.fromarray(PIXELS).save(work / "same/rgb.jpg")
    (work / "taken").write_text("a file")
    for video in ("a.mp4", "same/a.mov"):
        (work / video).touch()
    out = [] if "--out" in arguments else ["--out", "out"]
    done = segbench(work, "predict", *arguments, *out)
    assert done.returncode == 1, done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ") and told in line
    assert not (work / "out").exists()


@pytest.mark.parametrize(
    ("factor", "told"), [(0.25, "4.0 times smaller than"), (0.5, ""), (2, ""), (2.5, "2.5 times larger than")]
)
def test_a_note_says_that_images_are_of_another_size(work: Path, factor: float, told: str) -> None:
    Image.fromarray(PIXELS).resize((round(40 * factor), round(24 * factor))).save(work / "photos/rgb.png")
    done = segbench(work, "predict", "streets/colors", "photos/rgb.png", "--out", "out")
    assert done.returncode == 0
    assert (f"{told} the training images (40x24 px)" in done.stderr) if told else ("note:" not in done.stderr)


def test_large_images_are_labelled_by_tiles(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    big = np.asarray(Image.fromarray(PIXELS).resize((300, 200)))
    Image.fromarray(big).save(work / "photos/rgb.png")
    arguments = ("predict", "streets/colors", "photos/rgb.png", "--out")
    whole = segbench(work, *arguments, "whole")
    assert "by tiles" not in whole.stderr
    monkeypatch.setattr("segbench.prediction.tiles.MOST_PIXELS", 50_000)
    monkeypatch.setattr("segbench.prediction.tiles.LARGE_IMAGES_TILE_PX", 96)
    monkeypatch.setattr("segbench.packages.model.LARGE_IMAGES_CRF_TILE_PX", 192)
    assert "photos/rgb.png: labelled by tiles of 96 px" in segbench(work, *arguments, "large").stderr
    asked = segbench(work, *arguments, "asked", "--tile-px", "64")
    assert "photos/rgb.png: labelled by tiles of 64 px" in asked.stderr
    expected = read_label_map(work / "whole/label_maps/rgb.png")
    for out in ("large", "asked"):
        assert np.mean(read_label_map(work / out / "label_maps/rgb.png") == expected) > 0.98, out


def test_views_are_averaged(work: Path) -> None:
    model = PackagedModel.open(work / "data/packages/streets/colors", flip=True, scales=(0.5, 1.0))
    assert len(getattr(model.predictor, "views")) == 4  # noqa: B009 -- an ONNX file's has none
    views = ("--flip", "--view-scale", "0.5", "--view-scale", "1")
    arguments = ("streets/colors", "photos/rgb.png", "--no-crf", "--probabilities")
    assert segbench(work, "predict", *arguments, *views, "--out", "views").returncode == 0
    with np.load(work / "views/probabilities/rgb.npz") as stored:
        assert np.allclose(stored["probabilities"], model.probabilities(PIXELS), atol=1e-3)
        once = PackagedModel.open(work / "data/packages/streets/colors").probabilities(PIXELS)
        assert not np.allclose(stored["probabilities"], once, atol=1e-2)


def test_results_are_not_labelled_in_their_turn(work: Path) -> None:
    for more in ((), ("--overwrite",)):
        done = segbench(work, "predict", "streets/colors", "photos", "--out", "photos/labelled", "--bits", "16", *more)
        assert done.returncode == 0, done.stderr
        assert len(rows_of(work / "photos/labelled")) == 6
    (work / "photos/labelled").rename(work / "elsewhere")
    for more in ((), ("--overwrite",)):
        done = segbench(work, "predict", "streets/colors", "photos", "--out", "photos", "--bits", "16", *more)
        assert done.returncode == 0, done.stderr
        assert len(rows_of(work / "photos")) == 6, "photos beside their results"


def test_patterns_reach_into_folders(work: Path) -> None:
    done = segbench(work, "predict", "streets/colors", "photos/**/gr*.png", "--out", "out")
    assert done.returncode == 0 and set(rows_of(work / "out")) == {"grey"}


def test_show_tells_where_a_model_comes_from(work: Path) -> None:
    card = json.loads(segbench(work, "show", "streets/colors").stdout)
    assert (
        card["image_licence"] == "CC0"
        and card["origin"]["commit"] == "c0ffee"
        and card["class_names"] == ["sky", "road", "car"]
    )


def test_help_comes_without_heavy_imports() -> None:
    heavy = {"torch", "numpy", "mlflow", "cv2", "pandas"}
    code = f"import sys; from segbench.cli import commands; print(*({heavy} & set(sys.modules)))"
    command = [sys.executable, "-c", code]
    found = subprocess.run(command, capture_output=True, text=True, check=True, cwd=PROJECT / "src")
    assert found.stdout.split() == []


def test_two_images_of_one_name_are_named(tmp_path: Path) -> None:
    for name in ("a.png", "a.jpg"):
        Image.fromarray(PIXELS).save(tmp_path / name)
    with pytest.raises(InputError, match=r"a\.png: it would get the name of .*a\.jpg"):
        find_inputs([tmp_path], out=tmp_path / "out")


def write_clip(path: Path, *, num_frames: int) -> None:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 10, (64, 48))
    for number in range(num_frames):
        frame = np.zeros((48, 64, 3), np.uint8)
        frame[:, : 8 + 4 * number] = 200
        writer.write(frame)
    writer.release()


def test_a_video_is_labelled_frame_by_frame(work: Path) -> None:
    write_clip(work / "clip.mp4", num_frames=6)
    done = segbench(work, "predict", "streets/colors", "clip.mp4", "photos/rgb.png", "--out", "out", "--no-crf")
    assert done.returncode == 0, done.stderr
    assert "frames per second were labelled" in done.stdout
    video = cv2.VideoCapture(str(work / "out/videos/clip.webm"))
    frames = [video.read()[1][..., ::-1] for _ in range(6)]
    assert not video.read()[0] and video.get(cv2.CAP_PROP_FPS) == 10
    model, source = PackagedModel.open(work / "data/packages/streets/colors"), cv2.VideoCapture(str(work / "clip.mp4"))
    for frame in frames:
        image = np.ascontiguousarray(source.read()[1][..., ::-1], np.uint8)
        expected = 0.45 * image + 0.55 * CLASSES.colorize(model.label_map(image, crf=False))
        assert np.abs(frame - expected).mean() < 6
    assert set(rows_of(work / "out")) == {"clip", "rgb"}


def test_a_video_may_have_a_colon_in_its_name(work: Path) -> None:
    write_clip(work / "clip.mp4", num_frames=2)
    (work / "clip.mp4").rename(work / "12:30.mp4")
    done = segbench(work, "predict", "streets/colors", "12:30.mp4", "--out", "out", "--no-crf")
    assert done.returncode == 0, done.stderr
    assert [path.name for path in (work / "out/videos").iterdir()] == ["12:30.webm"]


def test_a_video_that_fails_leaves_no_part_of_itself(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_clip(work / "clip.mp4", num_frames=3)
    model = PackagedModel.open(work / "data/packages/streets/colors")
    labelled = iter([model.label_map(np.zeros((48, 64, 3), np.uint8), crf=False)])
    monkeypatch.setattr(PackagedModel, "label_map", lambda *_, **__: next(labelled))
    with pytest.raises(StopIteration):
        label_video(model, work / "clip.mp4", work / "out/clip.webm", crf=False)
    assert list((work / "out").iterdir()) == []


def test_videos_without_frames_are_named(work: Path) -> None:
    (work / "broken.mp4").write_bytes(b"no video")
    write_clip(work / "empty.mp4", num_frames=0)
    done = segbench(work, "predict", "streets/colors", "broken.mp4", "empty.mp4", "--out", "out")
    assert done.returncode == 3
    told = [line for line in done.stderr.splitlines() if line.startswith("left out: ")]
    assert len(told) == 2 and told[0].startswith("left out: broken.mp4: not a readable video")
    assert not list((work / "out").rglob("*.webm"))


@pytest.mark.skipif(CHROMIUM is None, reason="needs a Chromium")
def test_a_browser_plays_the_video(work: Path) -> None:
    write_clip(work / "clip.mp4", num_frames=6)
    assert segbench(work, "predict", "streets/colors", "clip.mp4", "--out", "out", "--no-crf").returncode == 0
    (work / "page.html").write_text('<video src="out/videos/clip.webm" muted></video>')
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page()
        page.goto((work / "page.html").as_uri())
        seconds = page.evaluate(
            "() => new Promise((done, fail) => { const video = document.querySelector('video');"
            " video.onended = () => done(video.currentTime); video.onerror = () => fail(video.error.message);"
            " video.play().catch(fail); })"
        )
        browser.close()
    assert seconds == pytest.approx(0.6, abs=0.15)
