"""Figures, looked at pixel by pixel."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import ImageFont

from segbench.images import RGBImage, read_image
from segbench.labels import IGNORE_INDEX, Classes
from segbench.report.drawing import figures
from segbench.report.drawing.figures import (
    INK,
    MENDED,
    SHOWN_PX,
    SPOILED,
    TEXT_PX,
    WIDTH_PX,
    WRONG,
    Part,
    Tile,
    marked,
    mean_iou_text,
    overlay,
    write_figure,
    write_grid,
)
from tests.report.sample_pages import some_classes

CLASSES = Classes.of([("road", (200, 0, 0)), ("sky", (0, 0, 200))])


def plain(color: int | tuple[int, int, int], *, height_px: int = 8, width_px: int = 10) -> RGBImage:
    return np.full((height_px, width_px, 3), color, np.uint8)


def extent(page: RGBImage, color: int | tuple[int, int, int]) -> tuple[int, int, int, int]:
    """Top, left, height and width of what has a colour."""
    rows, columns = np.nonzero((page == color).all(axis=2))
    return int(rows.min()), int(columns.min()), int(np.ptp(rows)) + 1, int(np.ptp(columns)) + 1


def test_an_overlay_leaves_pixels_without_a_class_as_they_are() -> None:
    image = np.full((2, 2, 3), 100, np.uint8)
    label_map = np.array([[0, 1], [IGNORE_INDEX, 0]], np.uint8)
    mixed = overlay(image, label_map, CLASSES)
    assert mixed[1, 0].tolist() == [100, 100, 100]
    assert mixed[0, 0, 0] > 100 > mixed[0, 0, 2]
    assert mixed[0, 1, 2] > 100 > mixed[0, 1, 0]


def test_wrong_pixels_are_marked_where_there_is_a_true_class() -> None:
    truth = np.array([[0, 0, IGNORE_INDEX]], np.uint8)
    picture = marked(np.array([[0, 1, 1]], np.uint8), truth=truth, classes=CLASSES)
    assert tuple(picture[0, 1]) == WRONG
    assert picture[0, 0, 0] > picture[0, 0, 1] > 150, "pale red"
    assert picture[0, 2, 2] > picture[0, 2, 0] > 150, "pale blue: nothing says that it is wrong"


def test_pixels_that_a_later_prediction_mends_and_spoils_have_marks_of_their_own() -> None:
    truth = np.array([[0, 0, 0, 0, IGNORE_INDEX]], np.uint8)
    before, after = np.array([[0, 1, 1, 0, 1]], np.uint8), np.array([[0, 1, 0, 1, 0]], np.uint8)
    picture = marked(after, truth=truth, before=before, classes=CLASSES)
    assert [tuple(pixel) for pixel in picture[0, 1:4].tolist()] == [WRONG, MENDED, SPOILED]
    assert not {WRONG, MENDED, SPOILED} & {tuple(pixel) for pixel in picture[0, [0, 4]].tolist()}


@pytest.mark.parametrize("num_columns", [2, 8])
def test_a_figure_has_the_width_in_which_its_text_can_be_read(num_columns: int, tmp_path: Path) -> None:
    path = tmp_path / "grid.png"
    write_grid(path, [[plain(11)] * num_columns], headers=["a"], classes=CLASSES, marks={})
    assert read_image(path).shape[1] == WIDTH_PX
    assert TEXT_PX * SHOWN_PX / WIDTH_PX >= 11, "in px, where GitHub has reduced it"


def test_a_grid_shows_each_pixel_of_each_picture(tmp_path: Path) -> None:
    pictures = np.arange(2 * 3 * 2 * 2, dtype=np.uint8).reshape(2, 3, 2, 2, 1).repeat(3, axis=-1)
    write_grid(tmp_path / "grid.png", list(map(list, pictures)), headers=[""], classes=CLASSES, marks={})
    page = read_image(tmp_path / "grid.png")
    places = [extent(page, value) for value in range(2 * 3 * 2 * 2)]
    assert min(height for _, _, height, _ in places) > 60 and min(width for *_, width in places) > 60
    of_first_pixels = [(top, left) for top, left, _, _ in places[::4]]
    assert of_first_pixels == sorted(set(of_first_pixels)), "row by row, from the left"
    for color in CLASSES.colors:
        assert (page == color).all(axis=2).any()


def test_a_picture_of_another_shape_is_not_distorted(tmp_path: Path) -> None:
    first, tall = plain(11, height_px=8, width_px=16), plain(22, height_px=16, width_px=8)
    write_grid(tmp_path / "grid.png", [[first, tall]], headers=[""], classes=CLASSES, marks={})
    _, _, height, width = extent(read_image(tmp_path / "grid.png"), 22)
    assert height == pytest.approx(2 * width, abs=2)
    assert height == pytest.approx(extent(read_image(tmp_path / "grid.png"), 11)[2], abs=1)


def test_a_cell_of_tall_pictures_is_no_higher_than_wide(tmp_path: Path) -> None:
    tall = [plain(value, height_px=40, width_px=10) for value in (11, 22)]
    write_grid(tmp_path / "grid.png", [tall], headers=[""], classes=CLASSES, marks={})
    _, _, height, width = extent(read_image(tmp_path / "grid.png"), 11)
    assert height <= WIDTH_PX / 2 and height == pytest.approx(4 * width, abs=4)


def test_text_stands_above_below_and_beside_its_tile_and_nowhere_else(tmp_path: Path) -> None:
    path, long = tmp_path / "figure.png", "a name that is much too long for a tile " * 9
    color = (255, 200, 120)  # of no letter's edge
    tiles = [Tile(plain(color), long, "below"), Tile(plain((255, 120, 200)))]
    write_figure(path, [Part([tiles], heading="heading", beside=["two\nlines"])], classes=CLASSES, marks={})
    page = read_image(path)
    top, left, height, width = extent(page, color)
    ink = np.abs(page.astype(int) - INK).max(axis=2) < 90
    assert ink[: top - TEXT_PX - 2].any(), "the heading"
    assert ink[top - TEXT_PX : top, left : left + width].any() and ink[top + height : top + height + TEXT_PX].any()
    assert np.count_nonzero(ink[top : top + height, :left].any(axis=1)) > TEXT_PX, "two lines"
    assert not ink[top - TEXT_PX - 2 : top, left + width :].any(), "a name reaches over the next tile"
    assert not ink[top : top + height, left:].any()


def test_an_empty_place_stays_empty(tmp_path: Path) -> None:
    rows: list[list[Tile | None]] = [[Tile(plain(11)), Tile(plain(22))], [None, Tile(plain(33))]]
    write_figure(tmp_path / "figure.png", [Part(rows)], classes=CLASSES, marks={})
    page = read_image(tmp_path / "figure.png")
    top, left, height, _ = extent(page, 33)
    assert left == extent(page, 22)[1] > extent(page, 11)[1]
    assert (page[top : top + height, :left] == 255).all()


def test_long_headings_are_broken_between_words(tmp_path: Path) -> None:
    words, path = "some words " * 60, tmp_path / "figure.png"
    write_figure(path, [Part([[Tile(plain(11))]], heading=words)], classes=CLASSES, marks={}, title=words)
    font = ImageFont.load_default(TEXT_PX)
    num_lines = 2 * font.getlength(words) / WIDTH_PX
    assert extent(read_image(path), 11)[0] > num_lines * TEXT_PX
    ink = (read_image(path)[:, -figures.GAP_PX :] < 128).any()
    assert not ink, "text reaches over the edge"


def test_every_class_and_mark_is_in_the_legend_however_many_there_are(tmp_path: Path) -> None:
    classes, mark = some_classes(182), (1, 254, 3)
    write_figure(tmp_path / "figure.png", [Part([[Tile(plain(11))]])], classes=classes, marks={"wrong": mark})
    page = read_image(tmp_path / "figure.png")
    shown = set(np.unique(page.astype(np.int64) @ [1 << 16, 1 << 8, 1]).tolist())
    assert {(red << 16) + (green << 8) + blue for red, green, blue in (*classes.colors, mark)} <= shown


def test_a_grid_of_photographs_may_be_a_jpeg(tmp_path: Path) -> None:
    write_grid(tmp_path / "grid.jpg", [[plain(90)]], headers=[""], classes=CLASSES, marks={})
    assert (tmp_path / "grid.jpg").read_bytes()[:3] == b"\xff\xd8\xff"
    assert np.abs(read_image(tmp_path / "grid.jpg")[28:40, 28:40].astype(int) - 90).max() <= 2


def test_a_caption_says_what_has_no_score() -> None:
    assert mean_iou_text(0.5678) == "mIoU 56.8 %"
    assert mean_iou_text(float("nan")) == "nothing to score"


def test_grids_depend_on_neither_scores_nor_matplotlib() -> None:
    listing = "import sys, segbench.report.drawing.figures; print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", listing], capture_output=True, text=True, check=True).stdout.split()
    assert "segbench.labels" in modules
    assert not {"matplotlib", "segbench.scoring", "pandas"} & set(modules)
