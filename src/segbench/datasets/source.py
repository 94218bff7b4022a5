"""What every source of images gives: its classes and its examples."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segbench.files import RGBImage
from segbench.labels import Classes

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Example:
    """An image with its label map, not yet read.

    group: what images of one origin share, such as a video's name; scores are also told apart by it.
    block: what images share that resemble each other, such as a clip's name; intervals resample whole blocks.
    load: reads or draws the two arrays.
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
