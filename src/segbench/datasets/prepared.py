"""The prepared form of every dataset: a fixed layout of PNG files, a manifest, and the classes.

manifest.csv                   one line per image, with the fields of `Row`
dataset.json                   class names and colours, and the fingerprint
<split>/images/<name>.png      RGB at the original size
<split>/label_maps/<name>.png  indexed: 0..num_classes-1 or IGNORE_INDEX

The manifest is read and written by the csv module: for 100,000 images, pandas needs twice the memory and no less time.
"""

import csv
from collections.abc import Iterable
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from sys import intern

import numpy as np

from segbench.datasets.source import SPLITS
from segbench.errors import InputError
from segbench.files import read_json
from segbench.images import RGBImage, read_image, read_label_map
from segbench.labels import Classes, LabelMap


@dataclass(frozen=True, slots=True)
class Row:
    """One image of the manifest.

    class_pixels: number of pixels of each class; ignored_pixels: number of pixels without a class.
    image_digest, label_digest: of the pixels, so that equal images have equal digests.
    perceptual_hash: 64 bits, few of which differ between images that look alike.
    """

    split: str
    name: str
    group: str
    block: str
    height_px: int
    width_px: int
    class_pixels: tuple[int, ...]
    ignored_pixels: int
    image_digest: str
    label_digest: str
    perceptual_hash: int


@dataclass(frozen=True)
class Prepared:
    """A prepared dataset on disk. fingerprint: changes with any pixel, name, split, group, block or class."""

    root: Path
    classes: Classes
    fingerprint: str
    rows: tuple[Row, ...]

    @classmethod
    def open(cls, root: Path) -> "Prepared":
        """Read the manifest and the classes, but no image. InputError if one of the files is missing or damaged."""
        content = read_json(root / "dataset.json")
        manifest = root / "manifest.csv"
        try:
            classes = Classes.of((entry["name"], entry["color"]) for entry in content["classes"])
            with manifest.open(newline="", encoding="utf-8") as file:
                rows = tuple(_row_of(record, classes) for record in csv.DictReader(file, strict=True))
        except FileNotFoundError:
            raise InputError(f"{manifest}: no such file") from None
        except (KeyError, TypeError, ValueError, csv.Error) as error:
            told = f"{type(error).__name__}: {error}".splitlines()[0]
            raise InputError(
                f"{manifest}: damaged, or not of the classes in dataset.json ({told}); "
                f"run dvc repro -f prepare@{root.name}"
            ) from None
        return cls(root=root, classes=classes, fingerprint=content["fingerprint"], rows=rows)

    def split(self, name: str) -> tuple[Row, ...]:
        """The rows of a split, in the manifest's order."""
        return self._by_split[name]

    def sample(self, split: str, count: int) -> tuple[Row, ...]:
        """`count` evenly spaced rows of a split, or all of them if there are fewer."""
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


_FIXED_COLUMNS = [field.name for field in fields(Row) if field.name != "class_pixels"]


def write_manifest(path: Path, rows: Iterable[Row], classes: Classes) -> None:
    """Write one line per row. Each class has a column with the number of its pixels."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(_FIXED_COLUMNS + [f"pixels_{name}" for name in classes.names])
        for row in rows:
            writer.writerow([getattr(row, column) for column in _FIXED_COLUMNS] + list(row.class_pixels))


def _row_of(record: dict[str, str], classes: Classes) -> Row:
    return Row(
        split=intern(record["split"]),
        name=record["name"],
        group=intern(record["group"]),
        block=record["block"],
        height_px=int(record["height_px"]),
        width_px=int(record["width_px"]),
        class_pixels=tuple(int(record[f"pixels_{name}"]) for name in classes.names),
        ignored_pixels=int(record["ignored_pixels"]),
        image_digest=record["image_digest"],
        label_digest=record["label_digest"],
        perceptual_hash=int(record["perceptual_hash"]),
    )
