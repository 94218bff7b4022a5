"""Your own images: a folder with images/, masks/ and classes.csv.

images/      grey or RGB of 8 or 16 bits, in any format that Pillow reads
masks/       a mask an image, of its name and size: grey of 8 or 16 bits, palette, black and white, or RGB
classes.csv  see class_table.py
groups.csv   name,group, where images of one patient, scene or video must not be in two splits
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from segbench import params
from segbench.datasets.class_table import ClassTable, read_records
from segbench.datasets.raw import read_photo
from segbench.datasets.source import SPLITS, Example, Source
from segbench.errors import InputError, raise_listed
from segbench.files import project_root
from segbench.images import RGBImage
from segbench.labels import IGNORE_INDEX, Classes, LabelMap


class Item(NamedTuple):
    """An image and its mask. name: its path in images/ without the format, in one word."""

    name: str
    image: Path
    mask: Path


def open_source(
    root: Path, *, groups: Path | None, bits: int, split: params.FoldersSplit | params.ListsSplit | params.RatioSplit
) -> Source:
    """Examples of `root`; with groups, a file in it, an example's group is also its block.

    bits: what images of more than 8 bits a channel use of them.
    Raises InputError, a line a mistake, for an image without a mask, a mask without an image, a name that is there
    twice, a wrong classes.csv, groups.csv or list, and an image or group in two splits.
    """
    root = project_root() / root
    table = ClassTable.read(root / "classes.csv")
    group_of = _groups(root / groups) if groups else {}
    match split:
        case params.FoldersSplit():
            found = [(each, *item) for each in SPLITS for item in _items(root, each)]
        case params.ListsSplit():
            by_name = {item.name: item for item in _items(root)}
            found = [(each, *by_name[name]) for each in SPLITS for name in _listed(root / f"{each}.txt", by_name)]
            _check_apart("image", ((name, each) for each, name, _, _ in found))
        case params.RatioSplit():
            items = _items(root)
            dealt = _dealt([group_of.get(item.name, item.name) for item in items], split)
            found = [(each, *item) for each, item in zip(dealt, items, strict=True)]
    if groups:
        raise_listed([f"{root / groups}: no line for {name}" for _, name, _, _ in found if name not in group_of])
        _check_apart("group", ((group_of[name], each) for each, name, _, _ in found))
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


def read_classes(root: Path) -> Classes:
    """The classes of `root`/classes.csv. InputError if it is missing or wrong."""
    return ClassTable.read(project_root() / root / "classes.csv").classes


def _load(image_path: Path, mask_path: Path, *, table: ClassTable, bits: int) -> tuple[RGBImage, LabelMap]:
    return read_photo(image_path, bits=bits), table.label_map(mask_path)


def _items(root: Path, split: str = "") -> list[Item]:
    """Images with their masks, in the order of their names. InputError, a line a file, for one without the other."""
    images, masks = (_files(root / kind / split) for kind in ("images", "masks"))
    raise_listed(
        [f"{path}: no mask {root / 'masks' / split / name}.*" for name, path in images.items() if name not in masks]
        + [f"{path}: no image {root / 'images' / split / name}.*" for name, path in masks.items() if name not in images]
    )
    return [Item(name, image, masks[name]) for name, image in images.items()]


def _files(folder: Path) -> dict[str, Path]:
    """Image files by name."""
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder")
    files: dict[str, Path] = {}
    twice = []
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in Image.registered_extensions():
            first = files.setdefault(_name(path.relative_to(folder)), path)
            if first != path:
                twice.append(f"{path}: it has the name of {first}")
    raise_listed(twice)
    return files


def _name(path: Path) -> str:
    return "__".join((path.with_suffix("") if path.suffix.lower() in Image.registered_extensions() else path).parts)


def _listed(path: Path, names: Collection[str]) -> list[str]:
    """The names in a list, a line each, with or without the format. InputError if one is no image's."""
    if not path.is_file():
        raise InputError(f"{path}: no such file; a split by lists needs train.txt, val.txt and test.txt")
    listed = [_name(Path(line.strip())) for line in path.read_text().splitlines() if line.strip()]
    raise_listed([f"{path}: there is no image {name}" for name in listed if name not in names])
    return listed


def _dealt(groups: Sequence[str], split: params.RatioSplit) -> list[str]:
    """The split of each item: whole groups in random order, each to the split that has least of its share so far."""
    shares = {"train": 1 - split.val - split.test, "val": split.val, "test": split.test}
    sizes, counts = Counter(groups), Counter[str]()
    split_of: dict[str, str] = {}
    for group in np.random.default_rng(split.seed).permutation(sorted(sizes)).tolist():
        split_of[group] = min(SPLITS, key=lambda each: counts[each] / shares[each])
        counts[split_of[group]] += sizes[group]
    return [split_of[group] for group in groups]


def _groups(path: Path) -> dict[str, str]:
    return {_name(Path(record["name"])): record["group"] for record in read_records(path, columns=["name", "group"])}


def _check_apart(kind: str, places: Iterable[tuple[str, str]]) -> None:
    """InputError, a line a name, if one of (name, split) is in several splits."""
    splits_of: dict[str, list[str]] = defaultdict(list)
    for name, split in dict.fromkeys(places):
        splits_of[name].append(split)
    shared = {name: splits for name, splits in splits_of.items() if len(splits) > 1}
    raise_listed([f"{kind} {name} is in {' and '.join(splits)}; it must be in one" for name, splits in shared.items()])
