"""Figures, looked at pixel by pixel."""

import subprocess
import sys
from pathlib import Path

import numpy as np

from segbench.images import read_image
from segbench.labels import IGNORE_INDEX, Classes
from segbench.report.drawing.figures import overlay, write_grid

CLASSES = Classes.of([("road", (200, 0, 0)), ("sky", (0, 0, 200))])


def test_an_overlay_leaves_pixels_without_a_class_as_they_are() -> None:
    image = np.full((2, 2, 3), 100, np.uint8)
    label_map = np.array([[0, 1], [IGNORE_INDEX, 0]], np.uint8)
    mixed = overlay(image, label_map, CLASSES)
    assert mixed[1, 0].tolist() == [100, 100, 100]
    assert mixed[0, 0, 0] > 100 > mixed[0, 0, 2]
    assert mixed[0, 1, 2] > 100 > mixed[0, 1, 0]


def test_a_grid_shows_each_pixel_of_each_picture(tmp_path: Path) -> None:
    pictures = [np.full((8, 10, 3), value, np.uint8) for value in (11, 22, 33)]
    write_grid(tmp_path / "grid.png", [pictures, pictures], headers=["a", "b", "c"], classes=CLASSES, cell_width_px=20)
    page = read_image(tmp_path / "grid.png")
    for value in (11, 22, 33):
        assert (page == value).all(axis=2).sum() >= 2 * 16 * 20
    for color in CLASSES.colors:
        assert (page == color).all(axis=2).any()


def test_a_picture_of_another_shape_is_not_distorted(tmp_path: Path) -> None:
    first, tall = np.full((8, 16, 3), 11, np.uint8), np.full((16, 8, 3), 22, np.uint8)
    write_grid(tmp_path / "grid.png", [[first, tall]], classes=CLASSES, cell_width_px=16)
    page = read_image(tmp_path / "grid.png")
    rows, columns = np.nonzero((page == 22).all(axis=2))
    assert [int(np.ptp(rows)) + 1, int(np.ptp(columns)) + 1] == [8, 4]


def test_a_grid_of_photographs_may_be_a_jpeg(tmp_path: Path) -> None:
    picture = np.full((8, 10, 3), 90, np.uint8)
    write_grid(tmp_path / "grid.jpg", [[picture]], classes=CLASSES, cell_width_px=20)
    assert (tmp_path / "grid.jpg").read_bytes()[:3] == b"\xff\xd8\xff"
    assert np.abs(read_image(tmp_path / "grid.jpg")[8:20, 8:20].astype(int) - 90).max() <= 2


def test_grids_depend_on_neither_scores_nor_matplotlib() -> None:
    listing = "import sys, segbench.report.drawing.figures; print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", listing], capture_output=True, text=True, check=True).stdout.split()
    assert "segbench.labels" in modules
    assert not {"matplotlib", "segbench.scoring", "pandas"} & set(modules)
