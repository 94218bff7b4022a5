"""Pictures of label maps: every pixel as it was, whatever holds them."""

import base64
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segbench.datasets.prepared import Row
from segbench.errors import InputError
from segbench.images import read_image
from segbench.labels import IGNORE_INDEX, Classes
from segbench.report.drawing import pictures
from tests.report.sample_pages import blocks, some_classes

ROW = Row(
    split="test", name="a", group="g", block="b", height_px=1, width_px=1, class_pixels=(), ignored_pixels=0,
    image_digest="", label_digest="", perceptual_hash=0,
)  # fmt: skip


def test_a_contact_sheet_gives_back_label_maps_of_any_sizes(tmp_path: Path) -> None:
    rng, classes = np.random.default_rng(0), some_classes(19)
    sizes = [(24, 33), (33, 24), (5, 7)] * 5
    label_maps = [blocks(rng, num_classes=19, height_px=height, width_px=width) for height, width in sizes]
    label_maps[3][:5] = IGNORE_INDEX
    pictures.write_contact_sheet(tmp_path / "sheet.png", label_maps, classes)
    rows = [replace(ROW, height_px=height, width_px=width) for height, width in sizes]
    read = pictures.read_contact_sheet(tmp_path / "sheet.png", rows)
    for found, label_map in zip(read, label_maps, strict=True):
        assert np.array_equal(found, label_map)
    shown = read_image(tmp_path / "sheet.png")
    assert shown.shape == (9 * 33 + 24, 2 * 33, 3)  # the tenth of the first column is 24 px high
    assert (shown[:24, :33] == classes.colorize(label_maps[0])).all()


def test_large_label_maps_are_reduced_in_a_contact_sheet(tmp_path: Path) -> None:
    large = np.zeros((500, 1000), np.uint8)
    large[:, 500:] = 2
    pictures.write_contact_sheet(tmp_path / "sheet.png", [large, large], some_classes(3))
    read = pictures.read_contact_sheet(tmp_path / "sheet.png", [replace(ROW, height_px=500, width_px=1000)] * 2)
    for found in read:
        assert found.shape == (240, 480)
        assert (found[:, :240] == 0).all() and (found[:, 240:] == 2).all()


def test_a_missing_contact_sheet_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="sheet.png"):
        pictures.read_contact_sheet(tmp_path / "sheet.png", [ROW])


def test_label_maps_keep_every_pixel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "MAX_SHEET_PX", 50)
    rng, classes = np.random.default_rng(0), some_classes(19)
    label_maps = [blocks(rng, num_classes=19, height_px=24, width_px=33) for _ in range(5)]
    label_maps[3][:5] = IGNORE_INDEX
    url, rows = pictures.sheet_url(label_maps, classes)
    sheet = np.asarray(Image.open(BytesIO(base64.b64decode(url.split(",")[1]))).convert("RGB"))
    assert (rows, sheet.shape) == (2, (48, 99, 3))
    for index, label_map in enumerate(label_maps):
        top, left = index % rows * 24, index // rows * 33
        assert (sheet[top : top + 24, left : left + 33] == classes.colorize(label_map)).all()


def test_every_class_and_no_class_have_a_colour_of_their_own_on_a_sheet() -> None:
    """Black is a class in Pascal VOC's palette; two classes of a user's table may share a colour."""
    grey = (9, 9, 9)
    classes = Classes.of([("back", (0, 0, 0)), ("a", grey), ("b", grey), ("c", (255, 255, 255)), ("d", grey)])
    colors = pictures.sheet_colors(classes)
    assert len(set(colors)) == len(classes) + 1
    assert [colors[index] for index in (0, 1, 3)] == [classes.colors[index] for index in (0, 1, 3)]
    near = np.abs(np.array(colors) - [*classes.colors, (0, 0, 0)])
    assert near.max() == 1
    label_map = np.array([[0, 1, 2, 3, 4, IGNORE_INDEX]], np.uint8)
    url, _ = pictures.sheet_url([label_map], classes)
    sheet = np.asarray(Image.open(BytesIO(base64.b64decode(url.split(",")[1]))).convert("RGB"))
    assert [tuple(color) for color in sheet[0].tolist()] == colors


def test_as_many_classes_as_there_can_be_have_their_own_colours_on_a_sheet() -> None:
    alike = Classes.of((str(index), (255, 0, 3)) for index in range(IGNORE_INDEX))
    colors = np.array(pictures.sheet_colors(alike))
    assert len({tuple(color) for color in colors.tolist()}) == IGNORE_INDEX + 1
    assert colors.min() >= 0 and colors.max() <= 255 and np.abs(colors[:-1] - (255, 0, 3)).max() <= 7
