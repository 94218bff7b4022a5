"""The recipes of docs/annotation_tools.md turn small exports into a folder that is read."""

import base64
import json
import re
import subprocess
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from segbench import params
from segbench.datasets import folder
from tests.parameters import PROJECT

RECIPES = {
    title: (language, code)
    for title, language, code in re.findall(
        r"^## (.*?)\n.*?^```(\w+)\n(.*?)^```",
        (PROJECT / "docs/annotation_tools.md").read_text(),
        re.DOTALL | re.MULTILINE,
    )
}
HEIGHT, WIDTH = 8, 10
EXPECTED = np.zeros((HEIGHT, WIDTH), np.uint8)
EXPECTED[1:7, 1:9] = 1
EXPECTED[3:5, 4:6] = 2
"""A cat of 6x8 px with a dog of 2x2 px on it."""
CAT, DOG = [[1, 1], [8, 1], [8, 6], [1, 6]], [[4, 3], [5, 3], [5, 4], [4, 4]]


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the recipes, with images a, b and c."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "data/raw/mine"
    (path / "images").mkdir(parents=True)
    for name in "abc":
        Image.new("RGB", (WIDTH, HEIGHT)).save(path / "images" / f"{name}.jpg")
    return path


def follow(title: str, root: Path) -> tuple[tuple[str, ...], NDArray[np.uint8]]:
    """Run a recipe and read the folder: names of the classes, and the label map of the image a."""
    language, code = RECIPES[title]
    if language == "bash":
        subprocess.run(["bash", "-e"], input=code, text=True, check=True)
    else:
        exec(code, {})
    split = params.RatioSplit(by="ratio", val=0.3, test=0.3, seed=0)
    source = folder.open_source(root, groups=None, bits=8, split=split)
    assert len(source.examples) == 3
    (first,) = (example for example in source.examples if example.name == "a")
    return source.classes.names, first.load()[1]


def encoded(pixels: NDArray[np.uint8]) -> bytes:
    return bytes(cv2.imencode(".png", pixels)[1])


def test_every_recipe_is_tested() -> None:
    assert list(RECIPES) == ["CVAT", "labelme", "COCO's instances", "Supervisely", "Label Studio"]


def test_cvat(root: Path) -> None:
    (root / "images").rename(root / "JPEGImages")
    (root / "SegmentationClass").mkdir()
    colors = np.array([[0, 0, 0], [250, 50, 83], [51, 221, 255]], np.uint8)
    for name in "abc":
        Image.fromarray(colors[EXPECTED]).save(root / "SegmentationClass" / f"{name}.png")
    (root / "labelmap.txt").write_text(
        "# label:color_rgb:parts:actions\nbackground:0,0,0::\ncat:250,50,83::\ndog:51,221,255::\n"
    )
    names, label_map = follow("CVAT", root)
    assert names == ("background", "cat", "dog")
    np.testing.assert_array_equal(label_map, EXPECTED)


def test_labelme(root: Path) -> None:
    shapes: list[dict[str, Any]] = [
        {"label": "cat", "points": CAT, "shape_type": "polygon"},
        {"label": "dog", "points": [[4, 3], [5.2, 3.9]], "shape_type": "rectangle"},
    ]
    for name in "abc":
        content = {"imageHeight": HEIGHT, "imageWidth": WIDTH, "shapes": shapes}
        (root / "images" / f"{name}.json").write_text(json.dumps(content))
    names, label_map = follow("labelme", root)
    assert names == ("background", "cat", "dog")
    np.testing.assert_array_equal(label_map, EXPECTED)


def test_a_shape_without_an_area_is_named(root: Path) -> None:
    shape = {"label": "cat", "points": CAT, "shape_type": "linestrip"}
    content = {"imageHeight": HEIGHT, "imageWidth": WIDTH, "shapes": [shape]}
    (root / "images/a.json").write_text(json.dumps(content))
    with pytest.raises(SystemExit, match="a.json: a shape of the type linestrip, which has no area here"):
        follow("labelme", root)


def test_coco(root: Path) -> None:
    pytest.importorskip("pycocotools", reason="the recipe needs it; it is one of the dev packages")
    runs = np.flatnonzero(np.diff(np.concatenate([[0], (EXPECTED == 2).T.ravel(), [0]]))).tolist()
    counts = np.diff([0, *runs, EXPECTED.size]).tolist()
    content = {
        "images": [
            {"id": 5 + i, "file_name": f"{name}.jpg", "height": HEIGHT, "width": WIDTH} for i, name in enumerate("abc")
        ],
        "categories": [{"id": 18, "name": "dog"}, {"id": 17, "name": "cat"}],
        "annotations": [
            annotation
            for i in range(3)
            for annotation in (
                {"id": 2 * i, "image_id": 5 + i, "category_id": 18, "iscrowd": 1,
                 "segmentation": {"counts": counts, "size": [HEIGHT, WIDTH]}},
                {"id": 2 * i + 1, "image_id": 5 + i, "category_id": 17, "iscrowd": 0,
                 "segmentation": [[1, 1, 9, 1, 9, 7, 1, 7]]},
            )
        ],
    }  # fmt: skip
    (root / "annotations.json").write_text(json.dumps(content))
    names, label_map = follow("COCO's instances", root)
    assert names == ("background", "cat", "dog")
    np.testing.assert_array_equal(label_map, EXPECTED)


def test_supervisely(root: Path) -> None:
    (root / "ann").mkdir()
    (root / "meta.json").write_text(json.dumps({"classes": [{"title": "cat"}, {"title": "dog"}, {"title": "hare"}]}))
    data = base64.b64encode(zlib.compress(encoded(np.full((2, 2), 255, np.uint8)))).decode()
    with_hole = {"exterior": CAT, "interior": [[[7, 2], [7, 2], [7, 2]]]}
    objects: list[dict[str, Any]] = [
        {"classTitle": "cat", "geometryType": "polygon", "points": with_hole},
        {"classTitle": "dog", "geometryType": "bitmap", "bitmap": {"data": data, "origin": [4, 3]}},
        {"classTitle": "hare", "geometryType": "rectangle", "points": {"exterior": [[0, 0], [9, 0]], "interior": []}},
    ]
    for name in "abc":
        content = {"size": {"height": HEIGHT, "width": WIDTH}, "objects": objects}
        (root / "ann" / f"{name}.jpg.json").write_text(json.dumps(content))
    names, label_map = follow("Supervisely", root)
    assert names == ("background", "cat", "dog", "hare")
    expected = EXPECTED.copy()
    expected[2, 7] = 0
    expected[0] = 3
    np.testing.assert_array_equal(label_map, expected)


def test_label_studio(root: Path) -> None:
    (root / "brush").mkdir()
    tasks = [{"id": 7 + i, "data": {"image": f"/data/upload/1/{name}.jpg"}} for i, name in enumerate("abc")]
    (root / "tasks.json").write_text(json.dumps(tasks))
    for task in tasks:
        for label, value in (("Cat", 1), ("Dog-like", 2)):
            layer = np.where(value == EXPECTED, 255, 0).astype(np.uint8)
            name = f"task-{task['id']}-annotation-{3 * int(str(task['id']))}-by-me-too@example.org-tag-{label}-0.png"
            Image.fromarray(layer).save(root / "brush" / name)
    names, label_map = follow("Label Studio", root)
    assert names == ("background", "Cat", "Dog-like")
    np.testing.assert_array_equal(label_map, EXPECTED)
