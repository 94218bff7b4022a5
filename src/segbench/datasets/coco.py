"""COCO 2017: 118,287 train and 5,000 val images, with panoptic labels (133 classes) or stuff labels (92 classes).

Lin et al.: Microsoft COCO, 2014. Kirillov et al.: Panoptic segmentation, 2019. Caesar et al.: COCO-Stuff, 2018. Names
of classes come from the annotations. The published val is our test; our val is held out of train.
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, Literal

from segbench.datasets.source import Example, Source, check_files, read_pair, split_names
from segbench.errors import about
from segbench.files import project_root, read_json
from segbench.images import RGBImage, read_image
from segbench.labels import IGNORE_INDEX, RGB, Classes, LabelMap, distinct_colors, from_colors

IMAGE_LICENCE = "annotations CC BY 4.0; photographs from Flickr, under licences of their own; name Lin et al. 2014"
IMAGE_HOME = "https://cocodataset.org/"
IMAGE_PAPERS = (
    "Lin, Maire, Belongie, Hays, Perona, Ramanan, Dollár, Zitnick: Microsoft COCO: common objects in context. "
    "ECCV 2014",
    "Kirillov, He, Girshick, Rother, Dollár: Panoptic segmentation. CVPR 2019 (panoptic labels)",
    "Caesar, Uijlings, Ferrari: COCO-Stuff: thing and stuff classes in context. CVPR 2018 (stuff labels)",
)

Labels = Literal["panoptic", "stuff"]
Loads = dict[str, partial[tuple[RGBImage, LabelMap]]]
"""Loaders of an image with its label map, by the image's name."""


def open_source(root: Path, *, labels: Labels) -> Source:
    """Examples of `root`, which holds train2017/, val2017/ and annotations/, all unpacked.

    For panoptic labels, annotations/ has panoptic_train2017/, panoptic_train2017.json and both for val2017; for stuff
    labels, stuff_train2017_pixelmaps/, stuff_val2017_pixelmaps/ and stuff_val2017.json. Raises InputError if one is
    missing.
    """
    root = project_root() / root
    categories = _categories(root, labels)
    class_of = {category["id"]: index for index, category in enumerate(categories)}
    read = {"panoptic": _panoptic, "stuff": _stuff}[labels]
    train, test = (read(root, published, class_of) for published in ("train2017", "val2017"))
    loads = train | test
    examples = [
        Example(split=split, name=name, group=split, block=name, load=loads[name])
        for name, split in split_names(train=list(train), test=list(test)).items()
    ]
    check_files((path for load in loads.values() for path in load.args[:2]), named_by="the annotations")
    return Source(classes=_classes(categories), ignore_index=IGNORE_INDEX, examples=examples)


def read_classes(root: Path, *, labels: Labels) -> Classes:
    """The categories in val2017's annotations. Raises InputError if these are missing."""
    return _classes(_categories(project_root() / root, labels))


def _categories(root: Path, labels: Labels) -> list[dict[str, Any]]:
    categories: list[dict[str, Any]] = read_json(root / "annotations" / f"{labels}_val2017.json")["categories"]
    return categories


def _classes(categories: list[dict[str, Any]]) -> Classes:
    names = [category["name"] for category in categories]
    return Classes.of(zip(names, distinct_colors(len(names)), strict=True))


def _stuff(root: Path, published: str, class_of: Mapping[int, int]) -> Loads:
    """Label maps in grey PNG: each pixel has its category's id, or 0 for no category."""
    class_of = {0: IGNORE_INDEX} | dict(class_of)
    return {
        path.stem: partial(read_pair, root / published / f"{path.stem}.jpg", path, class_of)
        for path in sorted((root / "annotations" / f"stuff_{published}_pixelmaps").glob("*.png"))
    }


def _panoptic(root: Path, published: str, class_of: Mapping[int, int]) -> Loads:
    """Label maps in RGB PNG: a colour encodes a segment's number, black none; the JSON file has its category."""
    folder = root / "annotations" / f"panoptic_{published}"
    loads = {}
    for entry in read_json(folder.with_suffix(".json"))["annotations"]:
        class_of_color = {(0, 0, 0): IGNORE_INDEX}
        for segment in entry["segments_info"]:
            number = segment["id"]
            color = (number & 255, number >> 8 & 255, number >> 16)
            class_of_color[color] = class_of[segment["category_id"]]
        path = folder / entry["file_name"]
        loads[path.stem] = partial(_load_panoptic, root / published / f"{path.stem}.jpg", path, class_of_color)
    return loads


def _load_panoptic(image_path: Path, path: Path, class_of_color: Mapping[RGB, int]) -> tuple[RGBImage, LabelMap]:
    image, colors = read_image(image_path), read_image(path)
    with about(path):
        return image, from_colors(colors, class_of_color)
