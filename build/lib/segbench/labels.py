"""Classes, their colours, and IGNORE_INDEX, the label of pixels without a class."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segbench.errors import MOST_LISTED, InputError

IGNORE_INDEX = 255
"""Label of pixels without a class in every prepared label map. Losses and metrics leave them out."""

RGB = tuple[int, int, int]
LabelMap = NDArray[np.uint8]
"""(H, W) uint8 class indices, IGNORE_INDEX where a pixel has no class."""


@dataclass(frozen=True)
class Classes:
    """Names and colours of a dataset's classes; a class's index is its position."""

    names: tuple[str, ...]
    colors: tuple[RGB, ...]

    def __post_init__(self) -> None:
        if len(self.names) != len(self.colors):
            raise ValueError(f"{len(self.names)} class names but {len(self.colors)} colours")
        if not 0 < len(self.names) <= IGNORE_INDEX:
            raise ValueError(f"{len(self.names)} classes; there must be 1 to {IGNORE_INDEX}")
        if len(set(self.names)) < len(self.names):
            raise ValueError("a class name is there twice; names must differ")

    @classmethod
    def of(cls, table: Iterable[tuple[str, Sequence[int]]]) -> "Classes":
        """Classes from (name, (red, green, blue)) pairs."""
        names, colors = zip(*table, strict=True)
        return cls(tuple(names), tuple((int(r), int(g), int(b)) for r, g, b in colors))

    def __len__(self) -> int:
        return len(self.names)

    def palette(self) -> NDArray[np.uint8]:
        """(256, 3) uint8 RGB, one colour per label value; IGNORE_INDEX and unused values are black."""
        palette = np.zeros((256, 3), np.uint8)
        palette[: len(self)] = self.colors
        return palette

    def colorize(self, label_map: LabelMap) -> NDArray[np.uint8]:
        """(H, W) label map -> (H, W, 3) uint8 RGB."""
        return self.palette()[label_map]

    def from_colors(self, image: NDArray[np.uint8]) -> LabelMap:
        """(H, W, 3) uint8 RGB in the classes' colours -> (H, W) label map: the inverse of `colorize`.

        Black stands for IGNORE_INDEX unless a class has that colour. Raises InputError for a colour of no class, or if
        two classes share a colour.
        """
        if len(set(self.colors)) < len(self.colors):
            raise InputError("two classes have the same colour; label maps in colours need a different one per class")
        return from_colors(image, {(0, 0, 0): IGNORE_INDEX} | {color: index for index, color in enumerate(self.colors)})


def class_shares(label_map: LabelMap, classes: Classes) -> dict[str, float]:
    """Of all pixels of a label map, the share that each class has, by its name."""
    pixels = np.bincount(label_map.reshape(-1), minlength=len(classes))[: len(classes)]
    return {name: float(count / label_map.size) for name, count in zip(classes.names, pixels, strict=True)}


def from_values(values: NDArray[np.integer], class_of: Mapping[int, int]) -> LabelMap:
    """(H, W) values of a file -> (H, W) label map. class_of: the class index or IGNORE_INDEX of each value.

    Raises InputError for a value that class_of lacks.
    """
    known = np.array(sorted(class_of), np.int64)
    places = np.searchsorted(known, values).clip(max=len(known) - 1)
    is_wrong = known[places] != values
    if is_wrong.any():
        listed = ", ".join(str(value) for value in known[:MOST_LISTED]) + (", ..." if len(known) > MOST_LISTED else "")
        raise InputError(f"value {values[is_wrong][0]} is no class's; those are {listed}")
    return np.array([class_of[int(value)] for value in known], np.uint8)[places]


def from_colors(image: NDArray[np.integer], class_of: Mapping[RGB, int]) -> LabelMap:
    """(H, W, 3) uint8 RGB -> (H, W) label map. class_of: the class index or IGNORE_INDEX of each colour.

    Raises InputError for a colour that class_of lacks.
    """
    numbers = image.astype(np.int64) @ np.array([1 << 16, 1 << 8, 1])
    known = np.array(sorted((r << 16) + (g << 8) + b for r, g, b in class_of))
    places = np.searchsorted(known, numbers).clip(max=len(known) - 1)
    is_wrong = known[places] != numbers
    if is_wrong.any():
        red, green, blue = image[is_wrong][0]
        raise InputError(f"colour ({red}, {green}, {blue}) is no class's")
    return np.array([class_of[color] for color in sorted(class_of)], np.uint8)[places]


def distinct_colors(count: int) -> list[RGB]:
    """The first colours of Pascal VOC's palette, without black, its colour 0.

    An index's bits go to red, green and blue in turn, the lowest to the channels' highest bits.
    """

    def channel(index: int, offset: int) -> int:
        return sum((index >> (3 * place + offset) & 1) << (7 - place) for place in range(8))

    return [(channel(index, 0), channel(index, 1), channel(index, 2)) for index in range(1, count + 1)]


def check_label_range(
    label_map: NDArray[np.integer], *, num_classes: int, where: str, ignore_index: int = IGNORE_INDEX
) -> None:
    """Raise InputError that begins with `where` if a label is neither in 0..num_classes-1 nor ignore_index."""
    values = np.unique(label_map)
    wrong = values[((values < 0) | (values >= num_classes)) & (values != ignore_index)]
    if wrong.size:
        raise InputError(
            f"{where}: label {wrong[0]} is outside 0..{num_classes - 1} and is not ignore_index {ignore_index}"
        )


def resize_label_map(label_map: LabelMap, *, height_px: int, width_px: int) -> LabelMap:
    """Resize by nearest neighbour between pixel centres, so that labels are never mixed into others."""
    rows = ((np.arange(height_px) + 0.5) * label_map.shape[0] / height_px).astype(np.intp)
    columns = ((np.arange(width_px) + 0.5) * label_map.shape[1] / width_px).astype(np.intp)
    return label_map[rows[:, None], columns]
