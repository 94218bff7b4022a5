"""Your own images: images/ and masks/ of the same names, and classes.csv.

images/      grey or RGB of 8 or 16 bits, in any format that Pillow reads
masks/       a mask an image, of its name and size: grey of 8 or 16 bits, palette, black and white, or RGB
classes.csv  name,value or name,red,green,blue or all five; rows named ignore are pixels without a class
groups.csv   name,group, where images of one patient, scene or video must not be in two splits

With a column value, masks of grey levels and palette masks are read by it; RGB masks are read by colour.
"""

import csv
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from segbench import params
from segbench.datasets.source import SPLITS, Example, Source
from segbench.errors import InputError, about, raise_listed
from segbench.files import RGBImage, project_root, read_image, read_mask, read_photo
from segbench.labels import IGNORE_INDEX, RGB, Classes, LabelMap, distinct_colors, from_colors, from_values

IGNORE = "ignore"
CHANNELS = ("red", "green", "blue")
CLASS_NAME = re.compile(r"[\w .-]+")
"""What the name of a metric may be in MLflow."""


class Item(NamedTuple):
    """An image and its mask."""

    name: str
    image: Path
    mask: Path


@dataclass(frozen=True)
class ClassTable:
    """What classes.csv says: the classes, and the indices of values and of colours, of which one may be empty."""

    classes: Classes
    of_value: Mapping[int, int]
    of_color: Mapping[RGB, int]


def open_source(
    root: Path, *, groups: Path | None, bits: int, split: params.FoldersSplit | params.ListsSplit | params.RatioSplit
) -> Source:
    """Examples of `root`; with groups, a file in it, an example's group is also its block.

    bits: what images of more than 8 bits a channel use of them.
    Raises InputError, a line a mistake, for an image without a mask, a mask without an image, a name that is there
    twice, a wrong classes.csv, groups.csv or list, and a group in two splits.
    """
    root = project_root() / root
    table = read_classes(root)
    group_of = _groups(root / groups) if groups else {}
    match split:
        case params.FoldersSplit():
            found = [(each, *item) for each in SPLITS for item in _items(root, each)]
        case params.ListsSplit():
            by_name = {item.name: item for item in _items(root)}
            found = [(each, *by_name[name]) for each in SPLITS for name in _listed(root / f"{each}.txt", by_name)]
            _check_apart("image", {(name, each) for each, name, _, _ in found})
        case params.RatioSplit():
            items = _items(root)
            dealt = _dealt([group_of.get(item.name, item.name) for item in items], split)
            found = [(each, *item) for each, item in zip(dealt, items, strict=True)]
    if groups:
        raise_listed([f"{root / groups}: no line for {name}" for _, name, _, _ in found if name not in group_of])
        _check_apart("group", {(group_of[name], each) for each, name, _, _ in found})
    examples = [
        Example(
            split=each,
            name=name,
            group=group_of.get(name, each),
            block=group_of.get(name, name),
            load=partial(_load, image, mask, table=table, bits=bits),
        )
        for each, name, image, mask in found
    ]
    return Source(classes=table.classes, ignore_index=IGNORE_INDEX, examples=examples)


def read_classes(root: Path) -> ClassTable:
    """The table of `root`/classes.csv. InputError for what it lacks, or has twice, or in a wrong form."""
    path = project_root() / root / "classes.csv"
    records = _records(path, ["name"])
    has_values, has_colors = "value" in records[0], all(channel in records[0] for channel in CHANNELS)
    if not (has_values or has_colors):
        raise InputError(f"{path}: it needs a column value, or columns red, green and blue, beside name")
    names = [record["name"] for record in records if record["name"] != IGNORE]
    for name in names:
        if not CLASS_NAME.fullmatch(name):
            raise InputError(f"{path}: the name {name!r} must have only letters, digits, spaces and . _ -")
    indices = [IGNORE_INDEX if record["name"] == IGNORE else names.index(record["name"]) for record in records]
    values = [_integer(path, record, "value", most=65535) for record in records] if has_values else []
    colors = [
        tuple(_integer(path, record, channel, most=255) for channel in CHANNELS) for record in records if has_colors
    ]
    for kind, entries in (("value", values), ("colour", colors)):
        for entry, count in Counter(entries).items():
            if count > 1:
                raise InputError(f"{path}: the {kind} {entry} is there {count} times; it must tell the class")
    shown = [color for color, index in zip(colors, indices, strict=False) if index != IGNORE_INDEX]
    try:
        classes = Classes.of(zip(names, shown or distinct_colors(len(names)), strict=True))
    except ValueError as error:
        raise InputError(f"{path}: {error}") from None
    of_color = {(red, green, blue): index for (red, green, blue), index in zip(colors, indices, strict=False)}
    return ClassTable(classes, of_value=dict(zip(values, indices, strict=False)), of_color=of_color)


def _load(image_path: Path, mask_path: Path, *, table: ClassTable, bits: int) -> tuple[RGBImage, LabelMap]:
    return read_photo(image_path, bits=bits), _label_map(mask_path, table)


def _label_map(path: Path, table: ClassTable) -> LabelMap:
    mask = read_mask(path) if table.of_value else read_image(path)
    with about(path):
        if mask.ndim == 2:
            return from_values(mask, table.of_value)
        if table.of_color:
            return from_colors(mask.astype(np.uint8), table.of_color)
        if (mask == mask[..., :1]).all():  # grey, saved as RGB
            return from_values(mask[..., 0], table.of_value)
        raise InputError("a mask in colours, but classes.csv has no columns red, green and blue")


def _items(root: Path, split: str = "") -> list[Item]:
    """Images with their masks in the order of their names. InputError, a line a file, for one without the other."""
    images, masks = (_files(root / kind / split) for kind in ("images", "masks"))
    raise_listed(
        [f"{images[name]}: no mask {root / 'masks' / split / name}.*" for name in images if name not in masks]
        + [f"{masks[name]}: no image {root / 'images' / split / name}.*" for name in masks if name not in images]
    )
    return [Item(name, image, masks[name]) for name, image in images.items()]


def _files(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; it must hold images")
    paths = [path for path in sorted(folder.rglob("*")) if path.suffix.lower() in Image.registered_extensions()]
    files = {_name(path.relative_to(folder)): path for path in paths}
    raise_listed(
        [
            f"{path}: {files[name].name} has the same name"
            for path in paths
            if files[name := _name(path.relative_to(folder))] != path
        ]
    )
    return files


def _name(path: Path) -> str:
    """An image's name: its path without the format, in one word, since prepared images lie in one folder."""
    return "__".join((path.with_suffix("") if path.suffix.lower() in Image.registered_extensions() else path).parts)


def _listed(path: Path, items: Collection[str]) -> list[str]:
    """The names in a list, one a line, with or without the format's suffix."""
    if not path.is_file():
        raise InputError(f"{path}: no such file; a split by lists needs train.txt, val.txt and test.txt")
    names = [_name(Path(line.strip())) for line in path.read_text().splitlines() if line.strip()]
    raise_listed([f"{path}: there is no image {name}" for name in names if name not in items])
    return names


def _dealt(groups: Sequence[str], split: params.RatioSplit) -> list[str]:
    """The split of each item by its group: whole groups in random order, each to the split that lacks most."""
    shares = {"train": 1 - split.val - split.test, "val": split.val, "test": split.test}
    sizes = Counter(groups)
    split_of: dict[str, str] = {}
    counts: Counter[str] = Counter()
    for group in np.random.default_rng(split.seed).permutation(sorted(sizes)).tolist():
        split_of[group] = min(SPLITS, key=lambda each: counts[each] / shares[each])
        counts[split_of[group]] += sizes[group]
    return [split_of[group] for group in groups]


def _groups(path: Path) -> dict[str, str]:
    return {_name(Path(record["name"])): record["group"] for record in _records(path, ["name", "group"])}


def _check_apart(kind: str, places: Iterable[tuple[str, str]]) -> None:
    """InputError, a line a name, if names of (name, split) are in several splits."""
    splits_of = defaultdict(list)
    for name, split in sorted(places, key=lambda place: (place[0], SPLITS.index(place[1]))):
        splits_of[name].append(split)
    raise_listed(
        [
            f"{kind} {name} is in {' and '.join(splits)}; it must be in one"
            for name, splits in splits_of.items()
            if len(splits) > 1
        ]
    )


def _records(path: Path, required: Sequence[str]) -> list[dict[str, str]]:
    """The lines of a CSV file by its header. InputError if it is missing, damaged, empty or lacks a column."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:  # spreadsheets begin a file with a mark
            lines = [[cell.strip() for cell in line] for line in csv.reader(file)]
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; it must be a CSV file with columns {', '.join(required)}") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: not a CSV file ({error})") from None
    header, *rows = [line for line in lines if any(line)] or [[]]
    for column in required:
        if column not in header:
            raise InputError(f"{path}: no column {column}, in its first line: {', '.join(header)}")
    for row in rows:
        if len(row) != len(header):
            raise InputError(f"{path}: the line {','.join(row)} must have {len(header)} cells: {','.join(header)}")
    if not rows:
        raise InputError(f"{path}: it has no line below its header")
    return [dict(zip(header, row, strict=True)) for row in rows]


def _integer(path: Path, record: Mapping[str, str], column: str, *, most: int) -> int:
    cell = record[column]
    if not (cell.isdecimal() and int(cell) <= most):
        raise InputError(f"{path}: {column} of {record['name']} is {cell!r}; it must be a whole number, 0 to {most}")
    return int(cell)
