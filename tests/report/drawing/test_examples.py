"""The figures of test images: which images and models are where, and what stands at them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from segbench.datasets.preparation import prepare
from segbench.datasets.prepared import Prepared
from segbench.datasets.source import Example, Source
from segbench.labels import IGNORE_INDEX, Classes
from segbench.report.drawing import examples, predictions
from segbench.report.drawing.examples import arranged, write_examples
from segbench.report.drawing.figures import WRONG, Part, Tile
from segbench.report.drawing.predictions import NUM_IMAGES, write_predictions

CLASSES = Classes.of([("road", (200, 0, 0)), ("sky", (0, 0, 200))])
NUM_TEST = 20


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    """Test images 00 to 19, whose grey is their number; all road but for one pixel without a class."""

    def example(split: str, number: int) -> Example:
        truth = np.zeros((6, 8), np.uint8)
        truth[0, 0] = IGNORE_INDEX
        image = np.full((6, 8, 3), number, np.uint8)
        return Example(split, f"{number:02d}", group="g", block=str(number), load=lambda: (image, truth))

    numbers = [("train", 100), ("val", 101), *(("test", number) for number in range(NUM_TEST))]
    source = Source(CLASSES, IGNORE_INDEX, [example(split, number) for split, number in numbers])
    return prepare(source, tmp_path_factory.mktemp("data") / "prepared")


def names(rows: list[list[Tile | None]]) -> list[list[str]]:
    return [[tile.above if tile else "" for tile in row] for row in rows]


def tiles(number: int) -> tuple[Tile, Tile, list[Tile]]:
    picture = np.zeros((1, 1, 3), np.uint8)
    return Tile(picture, "photo"), Tile(picture, "truth"), [Tile(picture, f"{index}") for index in range(number)]


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (5, [["photo", "truth", "0", "1", "2", "3", "4"]]),
        (6, [["photo", "0", "1", "2"], ["truth", "3", "4", "5"]]),
        (11, [["photo", *"012345"], ["truth", *"6789", "10"]]),
        (13, [["photo", *"01234"], ["truth", *"56789"], ["", "10", "11", "12"]]),
    ],
)
def test_the_photo_and_the_truth_stand_in_front_of_the_models(number: int, expected: list[list[str]]) -> None:
    assert names(list(arranged(*tiles(number)))) == expected


def test_examples_are_evenly_spaced_and_each_model_has_its_name_and_score(
    data: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[Part] = []
    monkeypatch.setattr(examples, "write_figure", lambda path, parts, **options: drawn.extend(parts))
    label_maps = {
        "unet": [np.full((6, 8), index % 2, np.uint8) for index in range(NUM_TEST)],
        "fcn": [np.zeros((6, 8), np.uint8) for _ in range(NUM_TEST)],
    }
    mean_ious = {"unet": [index / 100 for index in range(NUM_TEST)], "fcn": [0.5] * NUM_TEST}
    write_examples(tmp_path / "examples.png", data, label_maps, mean_ious=mean_ious, num_images=3)
    assert [part.heading for part in drawn] == ["00", "07", "14"]
    (row,) = drawn[1].rows
    photo, truth, unet, fcn = row
    assert photo and truth and unet and fcn
    assert (photo.picture == 7).all() and photo.below == truth.below == ""
    assert truth.picture[0, 0].tolist() == [0, 0, 0] and tuple(truth.picture[1, 1]) == CLASSES.colors[0]
    assert (unet.above, unet.below) == ("unet", "mIoU 7.0 %") and tuple(unet.picture[1, 1]) == CLASSES.colors[1]
    assert (fcn.above, fcn.below) == ("fcn", "mIoU 50.0 %") and tuple(fcn.picture[1, 1]) == CLASSES.colors[0]


def test_a_models_predictions_are_beside_the_truth_with_wrong_pixels_marked(
    data: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: dict[str, Any] = {}
    monkeypatch.setattr(predictions, "write_grid", lambda path, rows, **options: drawn.update(rows=rows, **options))
    predicted = np.zeros((6, 8), np.uint8)
    predicted[:3] = 1
    mean_ious = [index / 100 for index in range(NUM_TEST)]
    write_predictions(tmp_path / "predictions.png", data, [predicted] * NUM_TEST, mean_ious=mean_ious)
    assert 3 <= len(drawn["rows"]) <= NUM_IMAGES
    assert drawn["row_headers"][1] == "04\nmIoU 4.0 %"
    photo, truth, label_map, wrong = drawn["rows"][1]
    assert (photo == 4).all() and tuple(truth[5, 5]) == CLASSES.colors[0]
    assert tuple(label_map[1, 1]) == CLASSES.colors[1] and tuple(label_map[5, 5]) == CLASSES.colors[0]
    assert tuple(wrong[1, 1]) == WRONG != tuple(wrong[0, 0]) and tuple(wrong[5, 5]) != WRONG


def test_the_figures_are_written(data: Prepared, tmp_path: Path) -> None:
    label_maps = [np.zeros((6, 8), np.uint8)] * NUM_TEST
    write_predictions(tmp_path / "a.png", data, label_maps, mean_ious=[0.5] * NUM_TEST)
    scores = {"unet": [0.5] * NUM_TEST}
    write_examples(tmp_path / "b.png", data, {"unet": label_maps}, mean_ious=scores, num_images=3)
    assert (tmp_path / "a.png").stat().st_size > 1000 and (tmp_path / "b.png").stat().st_size > 1000
