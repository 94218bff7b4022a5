"""The form of every source of images, its classes and examples, and helpers that several sources share."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segbench.errors import about, raise_listed
from segbench.images import RGBImage, read_image, read_label_map
from segbench.labels import Classes, LabelMap, from_values

SPLITS = ("train", "val", "test")
HELD_OUT_SHARE, MOST_HELD_OUT = 0.1, 500
"""How much of train is held out if a dataset has no val: enough to choose a CRF's parameters.
More would cost training images, and time in validation."""


@dataclass(frozen=True, slots=True)
class Example:
    """An image with its label map, not yet read.

    group: the same for images of one origin, such as the name of their video; scores are also reported per group.
    block: the same for images that resemble each other, such as the name of their clip; confidence intervals resample
    whole blocks.
    load: reads or draws the two arrays. If it is a partial of a function of segbench, an interrupted preparation
    recognises the example by the function's code and arguments, and by the size and time of the files among them.
    """

    split: str
    name: str
    group: str
    block: str
    load: Callable[[], tuple[RGBImage, NDArray[np.uint8]]]


@dataclass(frozen=True)
class Source:
    """A dataset before preparation. ignore_index: the source's own value for pixels without a class."""

    classes: Classes
    ignore_index: int
    examples: Sequence[Example]


def read_pair(image_path: Path, label_path: Path, class_of: Mapping[int, int]) -> tuple[RGBImage, LabelMap]:
    """Read an image and its label map. class_of: the class index or IGNORE_INDEX of each value in the label map's file.

    Raises InputError that names the file.
    """
    image, values = read_image(image_path), read_label_map(label_path)
    with about(label_path):
        return image, from_values(values, class_of)


def check_files(paths: Iterable[Path], *, named_by: str) -> None:
    """Raise InputError with one line per missing file. named_by: the list or file that names it."""
    raise_listed([f"{path}: no such file, but {named_by} names it" for path in paths if not path.is_file()])


def split_names(*, train: Sequence[str], test: Sequence[str]) -> dict[str, str]:
    """The split of each name, for datasets with labels of two splits only: val takes evenly spaced names of train."""
    count = min(MOST_HELD_OUT, max(1, round(HELD_OUT_SHARE * len(train))))
    held_out = {train[index] for index in np.linspace(0, len(train) - 1, count).astype(int)} if train else set()
    return {name: "val" if name in held_out else "train" for name in train} | dict.fromkeys(test, "test")
