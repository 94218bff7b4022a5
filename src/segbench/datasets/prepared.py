"""The prepared form of every dataset: a fixed layout of PNG files, a manifest, and the classes.

manifest.csv                 a row an image: split, name, group, block, height, width, pixels per class
dataset.json                 class names and colours, fingerprint
<split>/images/<name>.png    RGB at the original size
<split>/label_maps/<name>.png  indexed; 0..num_classes-1 or IGNORE_INDEX
"""

import csv
import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from tqdm import tqdm

from segbench.datasets.source import SPLITS, Example, Source
from segbench.errors import InputError, raise_listed
from segbench.files import (
    RGBImage,
    read_image,
    read_json,
    read_label_map,
    replacing,
    write_image,
    write_json,
    write_label_map,
)
from segbench.labels import IGNORE_INDEX, Classes, LabelMap, check_label_range
from segbench.parallel import map_in_order, num_cores


@dataclass(frozen=True)
class Row:
    """An image of the manifest. class_pixels: its pixels of each class; ignored_pixels: those of none."""

    split: str
    name: str
    group: str
    block: str
    height_px: int
    width_px: int
    class_pixels: tuple[int, ...]
    ignored_pixels: int
    digest: str


@dataclass(frozen=True)
class Prepared:
    """A prepared dataset on disk. fingerprint: changes with any pixel, name, split or class."""

    root: Path
    classes: Classes
    fingerprint: str
    rows: tuple[Row, ...]

    @classmethod
    def open(cls, root: Path) -> "Prepared":
        """Read the manifest and the classes, no image."""
        content = read_json(root / "dataset.json")
        classes = Classes.of((entry["name"], entry["color"]) for entry in content["classes"])
        try:
            with (root / "manifest.csv").open(newline="") as file:
                rows = tuple(_row_of(record, classes) for record in csv.DictReader(file))
        except FileNotFoundError:
            raise InputError(f"{root / 'manifest.csv'}: no such file") from None
        return cls(root=root, classes=classes, fingerprint=content["fingerprint"], rows=rows)

    def split(self, name: str) -> tuple[Row, ...]:
        """The rows of a split, in the manifest's order."""
        return self._by_split[name]

    def sample(self, split: str, count: int) -> tuple[Row, ...]:
        """Evenly spaced rows of a split, all of them if there are no more than count."""
        rows = self.split(split)
        return tuple(rows[index] for index in np.linspace(0, len(rows) - 1, min(count, len(rows))).astype(int))

    @cached_property
    def _by_split(self) -> dict[str, tuple[Row, ...]]:
        return {split: tuple(row for row in self.rows if row.split == split) for split in SPLITS}

    def image(self, row: Row) -> RGBImage:
        """(H, W, 3) uint8 RGB."""
        return read_image(self.root / row.split / "images" / f"{row.name}.png")

    def label_map(self, row: Row) -> LabelMap:
        """(H, W) uint8 class indices or IGNORE_INDEX."""
        return read_label_map(self.root / row.split / "label_maps" / f"{row.name}.png")


def prepare(source: Source, root: Path) -> Prepared:
    """Audit every example and write it to `root`, all or nothing; images go through memory one by one.

    Raises InputError, a line an offending file, if a split is empty, a name is there twice, an image or label
    map is damaged, their sizes differ, or a label is outside the classes.
    """
    _check_names(source)
    with replacing(root) as temporary:
        rows, errors = [], []
        for result in tqdm(
            _written(source, temporary), total=len(source.examples), desc="prepare", unit="image", disable=None
        ):
            if isinstance(result, Row):
                rows.append(result)
            else:
                errors.append(str(result))
        raise_listed(errors)
        _write_manifest(temporary / "manifest.csv", rows, source.classes)
        content = {
            "classes": [
                {"name": name, "color": list(color)}
                for name, color in zip(source.classes.names, source.classes.colors, strict=True)
            ],
            "fingerprint": _fingerprint(rows, source.classes),
        }
        write_json(temporary / "dataset.json", content)
    return Prepared.open(root)


def _check_names(source: Source) -> None:
    for split in SPLITS:
        if not any(example.split == split for example in source.examples):
            raise InputError(f"the split {split} is empty; it must have at least one image")
    counts = Counter((example.split, example.name) for example in source.examples)
    for (split, name), count in counts.items():
        if count > 1:
            raise InputError(f"{split}/{name}: named {count} times; a split names an image once")


def _written(source: Source, root: Path) -> Iterator[Row | InputError]:
    """Results in the order of the examples, with only a few images in memory at a time."""

    def write(example: Example) -> Row | InputError:
        try:
            return _write(example, source, root)
        except InputError as error:
            return error

    return map_in_order(write, source.examples, workers=num_cores())


def _write(example: Example, source: Source, root: Path) -> Row:
    image, raw_label_map = example.load()
    where = f"{example.split}/{example.name}.png"
    if image.shape[:2] != raw_label_map.shape:
        height, width = image.shape[:2]
        label_height, label_width = raw_label_map.shape
        raise InputError(
            f"{where}: the image is {width}x{height}, its label map {label_width}x{label_height}; "
            "they must be of one size"
        )
    num_classes = len(source.classes)
    check_label_range(raw_label_map, num_classes=num_classes, ignore_index=source.ignore_index, where=where)
    label_map = np.where(raw_label_map == source.ignore_index, IGNORE_INDEX, raw_label_map).astype(np.uint8)
    write_image(root / example.split / "images" / f"{example.name}.png", image)
    write_label_map(root / example.split / "label_maps" / f"{example.name}.png", label_map, source.classes)
    counts = np.bincount(label_map.ravel(), minlength=IGNORE_INDEX + 1)
    return Row(
        split=example.split,
        name=example.name,
        group=example.group,
        block=example.block,
        height_px=label_map.shape[0],
        width_px=label_map.shape[1],
        class_pixels=tuple(int(count) for count in counts[:num_classes]),
        ignored_pixels=int(counts[IGNORE_INDEX]),
        digest=hashlib.sha256(repr(image.shape).encode() + image.tobytes() + label_map.tobytes()).hexdigest(),
    )


_FIXED_COLUMNS = ["split", "name", "group", "block", "height_px", "width_px", "ignored_pixels", "digest"]


def _write_manifest(path: Path, rows: list[Row], classes: Classes) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(_FIXED_COLUMNS + [f"pixels_{name}" for name in classes.names])
        for row in rows:
            writer.writerow([getattr(row, column) for column in _FIXED_COLUMNS] + list(row.class_pixels))


def _row_of(record: dict[str, str], classes: Classes) -> Row:
    return Row(
        split=record["split"],
        name=record["name"],
        group=record["group"],
        block=record["block"],
        height_px=int(record["height_px"]),
        width_px=int(record["width_px"]),
        class_pixels=tuple(int(record[f"pixels_{name}"]) for name in classes.names),
        ignored_pixels=int(record["ignored_pixels"]),
        digest=record["digest"],
    )


def _fingerprint(rows: list[Row], classes: Classes) -> str:
    identity = [str(classes)] + [f"{row.split}/{row.name}/{row.group}/{row.block}/{row.digest}" for row in rows]
    return hashlib.sha256("\n".join(identity).encode()).hexdigest()[:16]
