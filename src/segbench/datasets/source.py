"""What every source of images gives: its classes and its examples."""

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
"""Enough to judge a CRF's parameters by; more would only take images from training and time from validation."""


@dataclass(frozen=True, slots=True)
class Example:
    """An image with its label map, not yet read.

    group: what images of one origin share, such as a video's name; scores are also told apart by it.
    block: what images share that resemble each other, such as a clip's name; intervals resample whole blocks.
    load: reads or draws the two arrays. If it is a partial of a module's function, a preparation that was killed
    knows the example again by its arguments, and by the size and time of the files among them.
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
    """An image and its label map, whose values become class indices by a table. InputError names the file."""
    image, values = read_image(image_path), read_label_map(label_path)
    with about(label_path):
        return image, from_values(values, class_of)


def check_files(paths: Iterable[Path], *, named_by: str) -> None:
    """InputError with a line a file that is not there, though a list or another file names it."""
    raise_listed([f"{path}: no such file, but {named_by} names it" for path in paths if not path.is_file()])


def split_names(*, train: Sequence[str], test: Sequence[str]) -> dict[str, str]:
    """Our split of each name, where a dataset publishes labels of two only: val is evenly spaced names of train."""
    count = min(MOST_HELD_OUT, max(1, round(HELD_OUT_SHARE * len(train))))
    held_out = {train[index] for index in np.linspace(0, len(train) - 1, count).astype(int)} if train else set()
    return {name: "val" if name in held_out else "train" for name in train} | dict.fromkeys(test, "test")
