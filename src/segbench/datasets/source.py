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

    group: what correlated images share, such as a video's name; load: reads or draws the two arrays.
    """

    split: str
    name: str
    group: str
    load: Callable[[], tuple[RGBImage, NDArray[np.uint8]]]


@dataclass(frozen=True)
class Source:
    """A dataset before preparation. ignore_index: the source's own value for pixels without a class."""

    classes: Classes
    ignore_index: int
    examples: Sequence[Example]
