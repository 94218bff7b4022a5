"""Your own images: a folder with images/, masks/ and classes.csv.

images/      grey or RGB images of 8 or 16 bits, in any format that Pillow reads
masks/       one mask per image, of the same name and size: grey of 1, 8 or 16 bits, palette, or RGB
classes.csv  which values or colours of a mask stand for which class: see class_table.py
groups.csv   optional, with the columns name and group: images of one group, such as a patient, stay in one split
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
    """An image and its mask. name: its path in images/ without the suffix, `__` in place of `/`."""

    name: str
    image: Path
    mask: Path


def open_source(
    root: Path, *, groups: Path | None, bits: int, split: params.FoldersSplit | params.ListsSplit | params.RatioSplit
) -> Source:
    """Examples of the folder `root`.

    groups: a file in `root`; an example's group is then also its block. bits: how many of 16 bits the images use.
    Raises InputError, with one line per mistake, for an image without a mask, a mask without an image, two images of
    one name, a wrong classes.csv, groups.csv or list, and an image or group in two splits.
    """
    root = project_root() / root
    table = ClassTable.read(root / "classes.csv")
    group_of = _groups(root / groups) if groups else {}
    match split:
        case params.FoldersSplit():
            found = [(split_name, item) for split_name in SPLITS for item in _items(root, split_name)]
        case params.ListsSplit():
            by_name = {item.name: item for item in _items(root)}
            lists = {split_name: _read_list(root / f"{split_name}.txt", by_name) for split_name in SPLITS}
            found = [(split_name, by_name[name]) for split_name, names in lists.items() for name in names]
            _check_in_one_split("image", ((item.name, split_name) for split_name, item in found))
        case params.RatioSplit():
            items = _items(root)
            splits = _deal([group_of.get(item.name, item.name) for item in items], split)
            found = list(zip(splits, items, strict=True))
    if groups:
        raise_listed([f"{root / groups}: no line for {item.name}" for _, item in found if item.name not in group_of])
        _check_in_one_split("group", ((group_of[item.name], split_name) for split_name, item in found))
    examples = [
        Example(
            split=split_name,
            name=item.name,
            group=group_of.get(item.name, split_name),
            block=group_of.get(item.name, item.name),
            load=partial(_load, item.image, item.mask, table=table, bits=bits),
        )
        for split_name, item in found
    ]
    return Source(classes=table.classes, ignore_index=IGNORE_INDEX, examples=examples)


def read_classes(root: Path) -> Classes:
    """The classes of `root`/classes.csv. Raises InputError if it is missing or wrong."""
    return ClassTable.read(project_root() / root / "classes.csv").classes


def _load(image_path: Path, mask_path: Path, *, table: ClassTable, bits: int) -> tuple[RGBImage, LabelMap]:
    return read_photo(image_path, bits=bits), table.label_map(mask_path)


def _items(root: Path, split: str = "") -> list[Item]:
    """Images with their masks, by name. Raises InputError, with one line per file, for an image or mask alone."""
    images, masks = (_files(root / kind / split) for kind in ("images", "masks"))
    raise_listed(
        [f"{path}: no mask {root / 'masks' / split / name}.*" for name, path in images.items() if name not in masks]
        + [f"{path}: no image {root / 'images' / split / name}.*" for name, path in masks.items() if name not in images]
    )
    return [Item(name, image, masks[name]) for name, image in images.items()]


def _files(folder: Path) -> dict[str, Path]:
    """The image files in a folder and its subfolders, by name."""
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder")
    files: dict[str, Path] = {}
    twice = []
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in Image.registered_extensions():
            first = files.setdefault(_name(path.relative_to(folder)), path)
            if first != path:
                twice.append(f"{path}: it has the same name as {first}")
    raise_listed(twice)
    return files


def _name(path: Path) -> str:
    """The name of the image at a path in its folder."""
    return "__".join((path.with_suffix("") if path.suffix.lower() in Image.registered_extensions() else path).parts)


def _read_list(path: Path, names: Collection[str]) -> list[str]:
    """The names in a list, one per line, with or without suffix. Raises InputError if one is not in `names`."""
    if not path.is_file():
        raise InputError(f"{path}: no such file; a split by lists needs train.txt, val.txt and test.txt")
    listed = [_name(Path(line.strip())) for line in path.read_text().splitlines() if line.strip()]
    raise_listed([f"{path}: there is no image {name}" for name in listed if name not in names])
    return listed


def _deal(groups: Sequence[str], split: params.RatioSplit) -> list[str]:
    """The split of each image. Groups, in random order, go to the split that has the least of its share so far."""
    shares = {"train": 1 - split.val - split.test, "val": split.val, "test": split.test}
    sizes, counts = Counter(groups), Counter[str]()
    split_of: dict[str, str] = {}
    for group in np.random.default_rng(split.seed).permutation(sorted(sizes)).tolist():
        split_of[group] = min(SPLITS, key=lambda name: counts[name] / shares[name])
        counts[split_of[group]] += sizes[group]
    return [split_of[group] for group in groups]


def _groups(path: Path) -> dict[str, str]:
    """The group of each image by name."""
    return {_name(Path(record["name"])): record["group"] for record in read_records(path, columns=["name", "group"])}


def _check_in_one_split(kind: str, places: Iterable[tuple[str, str]]) -> None:
    """Raise InputError, with one line per name, if (name, split) pairs give a name several splits."""
    splits_of: dict[str, list[str]] = defaultdict(list)
    for name, split in dict.fromkeys(places):
        splits_of[name].append(split)
    shared = {name: splits for name, splits in splits_of.items() if len(splits) > 1}
    raise_listed([f"{kind} {name} is in {' and '.join(splits)}; it must be in one" for name, splits in shared.items()])
