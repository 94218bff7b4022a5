"""classes.csv: which values or colours of a mask stand for which class.

It has one line per class, in the order of the class indices. Masks in grey levels or with a palette need the columns
name and value; masks in colours need name, red, green and blue; all five columns serve both. Pixels with the value or
colour of a line named `ignore` have no class.
"""

import csv
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from segbench.datasets.raw import read_mask
from segbench.errors import InputError, about
from segbench.images import read_image
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
        records = read_records(path, columns=["name"])
        names = [record["name"] for record in records if record["name"] != IGNORE]
        for name in names:
            if not NAME.fullmatch(name):
                raise InputError(f"{path}: the name {name!r} must have only letters, digits, spaces and . _ -")
        indices = [IGNORE_INDEX if record["name"] == IGNORE else names.index(record["name"]) for record in records]
        values, colors = _values(path, records), _colors(path, records)
        if not (values or colors):
            raise InputError(f"{path}: it needs a column value, or columns red, green and blue, beside name")
        shown = [color for color, index in zip(colors, indices, strict=False) if index != IGNORE_INDEX]
        try:
            classes = Classes(tuple(names), tuple(shown or distinct_colors(len(names))))
        except ValueError as error:
            raise InputError(f"{path}: {error}") from None
        of_value, of_color = dict(zip(values, indices, strict=False)), dict(zip(colors, indices, strict=False))
        return cls(classes, of_value=of_value, of_color=of_color)

    def label_map(self, path: Path) -> LabelMap:
        """(H, W) label map of a mask's file. Raises InputError for an unknown value or colour."""
        mask = read_mask(path) if self.of_value else read_image(path)
        with about(path):
            if mask.ndim == 2:
                return from_values(mask, self.of_value)
            if self.of_color:
                return from_colors(mask, self.of_color)
            if (mask == mask[..., :1]).all():  # grey, saved as RGB
                return from_values(mask[..., 0], self.of_value)
            raise InputError("a mask in colours, but classes.csv has no columns red, green and blue")


def read_records(path: Path, *, columns: Sequence[str]) -> list[dict[str, str]]:
    """The lines of a CSV file, as text by the names of the header.

    Raises InputError if the file is missing, damaged or empty, or lacks one of `columns`.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:  # spreadsheets begin files with a byte order mark
            lines = [[cell.strip() for cell in line] for line in csv.reader(file)]
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; it must be a table with the columns {','.join(columns)}") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: not a CSV file ({error})") from None
    header, *rows = [line for line in lines if any(line)] or [[]]
    for column in columns:
        if column not in header:
            raise InputError(f"{path}: no column {column}; its first line is {','.join(header)}")
    for row in rows:
        if len(row) != len(header):
            raise InputError(f"{path}: the line {','.join(row)} must have {len(header)} cells: {','.join(header)}")
    if not rows:
        raise InputError(f"{path}: no line below the header")
    return [dict(zip(header, row, strict=True)) for row in rows]


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
    if not (cell.isdecimal() and int(cell) <= most):
        raise InputError(f"{path}: {column} of {record['name']} is {cell!r}; it must be a whole number, 0 to {most}")
    return int(cell)


def _check_distinct(path: Path, kind: str, entries: Sequence[object]) -> None:
    for entry, count in Counter(entries).items():
        if count > 1:
            raise InputError(f"{path}: the {kind} {entry} is there {count} times; it must stand for one class")
