"""classes.csv: which values or colours of a mask stand for which class.

It has one line per class, in the order of the class indices. Masks in grey levels or with a palette need the columns
name and value; masks in colours need name, red, green and blue; all five columns serve both. Pixels with the value or
colour of a line named `ignore` have no class. Cells are parted by commas, semicolons or tabs.

A labelmap.txt of CVAT does as well where there is no classes.csv: lines `name:red,green,blue::`.
"""

import csv
import io
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segbench.datasets.raw import Mask, read_colored_mask, read_mask, strips
from segbench.errors import MOST_LISTED, InputError
from segbench.labels import IGNORE_INDEX, RGB, Classes, LabelMap, distinct_colors, from_colors, from_values

IGNORE = "ignore"
MOST_VALUE, MOST_LEVEL = 65535, 255
NAME = re.compile(r"[\w .-]+")
"""MLflow allows these characters in the names of metrics, which class names are part of."""


@dataclass(frozen=True)
class ClassTable:
    """The classes of classes.csv.

    of_value, of_color: the class index or IGNORE_INDEX of each value and colour; one of the two may be empty.
    """

    classes: Classes
    of_value: Mapping[int, int]
    of_color: Mapping[RGB, int]

    @classmethod
    def read(cls, path: Path) -> "ClassTable":
        """Read classes.csv. Raises InputError for a missing column, a wrong cell, or a name, value or colour twice."""
        records = read_records(path, columns=["name"]) if path.suffix == ".csv" else _labelmap_records(path)
        for record in records:
            if record["name"].casefold() == IGNORE:
                record["name"] = IGNORE
        names = [record["name"] for record in records if record["name"] != IGNORE]
        for name in names:
            if not NAME.fullmatch(name):
                raise InputError(f"{path}: the name {name!r} must have only letters, digits, spaces and . _ -")
        indices = [IGNORE_INDEX if record["name"] == IGNORE else names.index(record["name"]) for record in records]
        values, colors = _values(path, records), _colors(path, records)
        if not (values or colors):
            raise InputError(f"{path}: it needs a column value, or columns red, green and blue, beside name")
        shown = [color for color, index in zip(colors, indices, strict=False) if index != IGNORE_INDEX]
        if len(names) == 1:
            raise InputError(
                f"{path}: only the class {names[0]}; name the rest too, such as background, on a line of its own"
            )
        try:
            classes = Classes(tuple(names), tuple(shown or distinct_colors(len(names))))
        except ValueError as error:
            raise InputError(f"{path}: {error}") from None
        of_value, of_color = dict(zip(values, indices, strict=False)), dict(zip(colors, indices, strict=False))
        return cls(classes, of_value=of_value, of_color=of_color)

    def label_map(self, path: Path, *, tolerance: int) -> tuple[LabelMap, int]:
        """(H, W) label map of a mask's file, and the file's EXIF orientation.

        tolerance: pixels of no class take the nearest one, if its value or each channel of its colour is at most so
        many levels away. Raises InputError that counts the others and says what may have made them.
        """
        mask = read_mask(path) if self.of_value else read_colored_mask(path)
        pixels = mask.pixels
        if pixels.ndim == 3 and not self.of_color:
            if not (pixels == pixels[..., :1]).all():
                raise InputError(f"{path}: a mask in colours, but classes.csv has no columns red, green and blue")
            pixels = pixels[..., 0]  # grey, saved as RGB
        height, width = pixels.shape[:2]
        label_map = np.empty((height, width), np.uint8)
        odd: list[_Odd] = []
        for rows in strips(height_px=height, width_px=width):
            try:
                label_map[rows] = self._exact(pixels[rows])
            except InputError:
                label_map[rows], found = self._nearest(pixels[rows], tolerance=tolerance)
                odd += [found] if found.num_pixels else []
        if odd:
            raise InputError(self._complaint(path, Mask(pixels, mask.orientation), odd))
        return label_map, mask.orientation

    def _exact(self, pixels: NDArray[np.integer]) -> LabelMap:
        return from_values(pixels, self.of_value) if pixels.ndim == 2 else from_colors(pixels, self.of_color)

    def _nearest(self, pixels: NDArray[np.integer], *, tolerance: int) -> "tuple[LabelMap, _Odd]":
        """The label map of the nearest classes, and what is further away than `tolerance`."""
        shifts = (0,) if pixels.ndim == 2 else (16, 8, 0)
        known = list(self.of_value.items() if pixels.ndim == 2 else self.of_color.items())
        channels = pixels.reshape(-1, len(shifts)).astype(np.int64)
        numbers, places = np.unique((channels << shifts).sum(axis=1), return_inverse=True)
        entries = numbers[:, None] if pixels.ndim == 2 else numbers[:, None] >> shifts & 255
        levels = np.array([entry for entry, _ in known], np.int64).reshape(len(known), len(shifts))
        distances = np.stack([np.abs(entries - level).max(axis=1) for level in levels])
        nearest, distance = distances.argmin(axis=0), distances.min(axis=0)
        label_of = np.array([label for _, label in known], np.uint8)[nearest]
        is_odd = distance > tolerance
        counts = np.bincount(places, minlength=len(numbers))
        return label_of[places].reshape(pixels.shape[:2]), _Odd(
            entries=tuple(tuple(entry) for entry in entries[is_odd][:MOST_LISTED].tolist()),
            num_pixels=int(counts[is_odd].sum()),
            furthest=int(distance.max()),
        )

    def _complaint(self, path: Path, mask: Mask, odd: "Sequence[_Odd]") -> str:
        """What is wrong with a mask that has pixels of no class, and what would be right."""
        count, total = sum(found.num_pixels for found in odd), mask.pixels.shape[0] * mask.pixels.shape[1]
        counted = f"{count} of its {total} pixels {'are' if count > 1 else 'is'} of no class"
        furthest = max(found.furthest for found in odd)
        nearest = f"`mask_tolerance: {furthest}`, by which pixels take the nearest class"
        first = odd[0].entries[0]
        if mask.pixels.ndim == 3:
            says = f"{path}: colour ({', '.join(map(str, first))}) is no class's; {counted}"
            remedy = "soft edges and resizing mix colours: export it without them"
        else:
            values = sorted(self.of_value)
            listed = ", ".join(map(str, values[:MOST_LISTED])) + (", ..." if len(values) > MOST_LISTED else "")
            says = f"{path}: value {first[0]} is no class's; those are {listed}; {counted}"
            there = np.unique(mask.pixels).tolist()
            if len(there) <= MOST_LISTED and not _is_jpeg(path):
                return f"{says}; {self._suggestion(there)}"
            remedy = f"it has {len(there)} values, as soft edges and resizing make them: export it without them"
        if _is_jpeg(path):
            remedy = "JPEG changes pixels: export it as PNG"
        return f"{says}; {remedy}, or set {nearest}"

    def _suggestion(self, there: Sequence[int]) -> str:
        """How classes.csv would be right for a mask with these values."""
        values = ", ".join(map(str, there))
        lines = [self.classes.names[label] if label != IGNORE_INDEX else IGNORE for label in self.of_value.values()]
        if len(there) != len(lines):
            return f"the mask has the values {values}; each needs a line in classes.csv"
        written = ", ".join(f"`{name},{value}`" for name, value in zip(lines, there, strict=True))
        return (
            f"the mask has the values {values}; if they are the classes in this order, write {written} in classes.csv"
        )


@dataclass(frozen=True)
class _Odd:
    """Pixels of no class in a part of a mask.

    entries: some of their values or colours; furthest: the most levels that a pixel is away from the nearest class.
    """

    entries: tuple[tuple[int, ...], ...]
    num_pixels: int
    furthest: int


def _is_jpeg(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) == b"\xff\xd8"


def find_class_table(root: Path) -> Path:
    """classes.csv of a folder, or labelmap.txt where there is only that."""
    labelmap = root / "labelmap.txt"
    return labelmap if labelmap.is_file() and not (root / "classes.csv").is_file() else root / "classes.csv"


def _labelmap_records(path: Path) -> list[dict[str, str]]:
    """The lines of a labelmap.txt of CVAT, `name:red,green,blue:parts:actions`, as those of classes.csv."""
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines()]
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not a text file ({error})") from None
    records = []
    for line in lines:
        if line and not line.startswith("#"):
            name, color, *_ = [*line.split(":"), ""]
            levels = [level.strip() for level in color.split(",")]
            if len(levels) != 3:
                raise InputError(f"{path}: the line {_shown([line], '')} must be name:red,green,blue::")
            records.append({"name": name.strip(), **dict(zip(("red", "green", "blue"), levels, strict=True))})
    if not records:
        raise InputError(f"{path}: no line with a class")
    return records


def read_records(path: Path, *, columns: Sequence[str]) -> list[dict[str, str]]:
    """The lines of a CSV file, as text by the names of the header in small letters.

    Cells are parted by what parts `columns`, or more of the header, in the first line: a comma, semicolon or tab.
    Raises InputError if the file is missing, damaged or empty, or lacks one of `columns`.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")  # spreadsheets begin files with a byte order mark
        first = next((line for line in text.splitlines() if line.strip()), "")
        separator = max(",;\t", key=first.count)
        lines = [[cell.strip() for cell in line] for line in csv.reader(io.StringIO(text), delimiter=separator)]
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; it must be a table with the columns {','.join(columns)}") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: not a CSV file ({error})") from None
    header, *rows = [line for line in lines if any(line)] or [[]]
    header = [column.casefold() for column in header]
    for column in columns:
        if column not in header:
            raise InputError(f"{path}: no column {column}; its first line is {_shown(header, ',')}")
    for column, count in Counter(header).items():
        if column and count > 1:
            raise InputError(f"{path}: the column {_shown([column], '')} is there {count} times")
    for row in rows:
        if len(row) != len(header):
            raise InputError(
                f"{path}: the line {_shown(row, separator)} must have {len(header)} cells: {_shown(header, separator)}"
            )
    if not rows:
        raise InputError(f"{path}: no line below the header")
    return [dict(zip(header, row, strict=True)) for row in rows]


def _shown(cells: Sequence[str], separator: str) -> str:
    """A line of a file as part of a message: without what would break or hide it."""
    return "".join(character if character.isprintable() else "?" for character in separator.join(cells))


def _values(path: Path, records: Sequence[Mapping[str, str]]) -> list[int]:
    """The value of each line; an empty list if there is no such column."""
    if "value" not in records[0]:
        return []
    values = [_number(path, record, "value", most=MOST_VALUE) for record in records]
    _check_distinct(path, "value", values)
    return values


def _colors(path: Path, records: Sequence[Mapping[str, str]]) -> list[RGB]:
    """The colour of each line; an empty list if there are no such columns."""
    if not {"red", "green", "blue"} <= records[0].keys():
        return []
    channels = [
        [_number(path, record, channel, most=MOST_LEVEL) for record in records] for channel in ("red", "green", "blue")
    ]
    colors = list(zip(*channels, strict=True))
    _check_distinct(path, "colour", colors)
    return colors


def _number(path: Path, record: Mapping[str, str], column: str, *, most: int) -> int:
    cell = record[column]
    if not (cell.isdecimal() and len(cell.lstrip("0")) <= len(str(most)) and int(cell) <= most):
        raise InputError(f"{path}: {column} of {record['name']} is {cell!r}; it must be a whole number, 0 to {most}")
    return int(cell)


def _check_distinct(path: Path, kind: str, entries: Sequence[object]) -> None:
    for entry, count in Counter(entries).items():
        if count > 1:
            raise InputError(f"{path}: the {kind} {entry} is there {count} times; it must stand for one class")
