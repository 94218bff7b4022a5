"""Your own images: a folder with images/, masks/ and classes.csv.

images/      grey or RGB images of 8 or 16 bits, in any format that Pillow reads
masks/       one mask per image, of the same name and size: grey of 1, 8 or 16 bits, palette, or RGB
classes.csv  which values or colours of a mask stand for which class: see class_table.py
groups.csv   optional, with the columns name and group: images of one group, such as a patient, stay in one split

Where names differ, patterns such as `{name}_mask` say how; masks with such a pattern may also lie in images/. Files and
folders whose names begin with a dot are no part of the data.
"""

import os
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from PIL import Image

from segbench import params
from segbench.datasets.class_table import ClassTable, find_class_table, read_records
from segbench.datasets.raw import SWAPPING, UPRIGHT, read_photo, turned
from segbench.datasets.source import SPLITS, Example, Source
from segbench.errors import InputError, raise_listed
from segbench.files import project_root
from segbench.images import RGBImage
from segbench.labels import IGNORE_INDEX, Classes, LabelMap

IMAGE_LICENCE = "unknown to segbench: that of your own images"

NO_IMAGES = (".txt", ".csv", ".json", ".xml", ".yaml", ".yml", ".md", ".html", ".ini", ".db", ".log")
"""What may lie beside images: notes, tables, and what annotation tools and file managers leave there."""
ANY_NAME = "{name}"


class Item(NamedTuple):
    """An image and its mask. name: its path in images/ without the suffix and the pattern, `__` in place of `/`."""

    name: str
    image: Path
    mask: Path


def open_source(
    root: Path,
    *,
    groups: Path | None,
    bits: int,
    split: params.FoldersSplit | params.ListsSplit | params.RatioSplit,
    image_names: str = ANY_NAME,
    mask_names: str = ANY_NAME,
    mask_tolerance: int = 0,
    masks_drawn_on: Literal["upright", "stored"] | None = None,
) -> Source:
    """Examples of the folder `root`.

    groups: a file in `root`; an example's group is then also its block. bits: how many of 16 bits the images use.
    image_names, mask_names: patterns of the files' names. mask_tolerance: as `ClassTable.label_map` takes it.
    masks_drawn_on: which form of a turned photo masks lie on where nothing else tells.
    Raises InputError, with one line per mistake, for an image without a mask, a mask without an image, two images of
    one name, a file that cannot be read, a wrong classes.csv, groups.csv or list, and an image or group in two splits.
    """
    root = project_root() / root
    table = ClassTable.read(find_class_table(root))
    images_named, masks_named = _Pattern(image_names), _Pattern(mask_names)
    items_of = partial(_items, root, images_named=images_named, masks_named=masks_named)
    group_of = _groups(root / groups, images_named) if groups else {}
    match split:
        case params.FoldersSplit():
            found = [(split_name, item) for split_name in SPLITS for item in items_of(split_name)]
        case params.ListsSplit():
            by_name = {item.name: item for item in items_of()}
            lists = {name: _read_list(root / f"{name}.txt", by_name, images_named) for name in SPLITS}
            found = [(split_name, by_name[name]) for split_name, names in lists.items() for name in names]
            _check_in_one_split("image", ((item.name, split_name) for split_name, item in found))
        case params.RatioSplit():
            items = items_of()
            names = [group_of.get(item.name, item.name) for item in items]
            if (count := len(set(names))) < len(SPLITS):
                raise InputError(
                    f"{root / 'images'}: {count} {'groups' if groups else 'images'}; a split by ratio needs at least "
                    f"{len(SPLITS)}, one for each of {', '.join(SPLITS)}"
                )
            splits = _deal(names, split)
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
            load=partial(
                _load, item.image, item.mask, table=table, bits=bits, tolerance=mask_tolerance, drawn_on=masks_drawn_on
            ),
        )
        for split_name, item in found
    ]
    return Source(classes=table.classes, ignore_index=IGNORE_INDEX, examples=examples)


def read_classes(root: Path) -> Classes:
    """The classes of `root`/classes.csv. Raises InputError if it is missing or wrong."""
    return ClassTable.read(find_class_table(project_root() / root)).classes


def _load(
    image_path: Path, mask_path: Path, *, table: ClassTable, bits: int, tolerance: int, drawn_on: str | None
) -> tuple[RGBImage, LabelMap]:
    """The photo upright, and its label map turned with it where that was drawn on the photo as it is stored."""
    image, orientation = read_photo(image_path, bits=bits)
    label_map, own_orientation = table.label_map(mask_path, tolerance=tolerance)
    if own_orientation != UPRIGHT and own_orientation != orientation:
        raise InputError(
            f"{mask_path}: its EXIF orientation is {own_orientation}, its image's {orientation}; save both upright"
        )
    if orientation == UPRIGHT:
        return image, label_map
    stored = turned(label_map, orientation)
    height, width = image.shape[:2]
    if own_orientation == orientation:
        drawn_on = "stored"
    elif orientation in SWAPPING and height != width:  # the sizes tell
        drawn_on = "stored" if label_map.shape == (width, height) else "upright"
    if drawn_on is None:
        raise InputError(
            f"{image_path}: its EXIF data turn or mirror it (orientation {orientation}), and its mask may be drawn on "
            "it as it is seen or as it is stored; set `masks_drawn_on: upright` or `stored`, or save it upright"
        )
    return image, stored if drawn_on == "stored" else label_map


class _Pattern:
    """How files are called, such as `{name}_mask`."""

    def __init__(self, pattern: str) -> None:
        self.text = pattern
        self._before, self._after = (_normal(part) for part in pattern.split(ANY_NAME))

    def name_in(self, name: str) -> str | None:
        """`site__a` of `site__a_mask`; None if the name is of another pattern.

        `__` stands between folders, and may be in a file's own name too: the shortest end that fits is taken for it.
        """
        parts, added = name.split("__"), len(self._before) + len(self._after)
        for start in reversed(range(len(parts))):
            own = "__".join(parts[start:])
            if len(own) > added and own.startswith(self._before) and own.endswith(self._after):
                return "__".join([*parts[:start], own[len(self._before) : len(own) - len(self._after)]])
        return None

    def beside(self, path: Path, *, pattern: "_Pattern", folder: Path, to: Path) -> str:
        """The path in `to` without its suffix that a file of this pattern in `folder` would have by another pattern."""
        place = path.relative_to(folder)
        name = self.name_in(_normal(place.stem)) or place.stem
        return f"{to / place.parent / pattern.text.replace(ANY_NAME, name)}.*"


def _items(root: Path, split: str = "", *, images_named: _Pattern, masks_named: _Pattern) -> list[Item]:
    """Images with their masks, by name. Raises InputError, with one line per file, for an image or mask alone."""
    images_folder, masks_folder = root / "images" / split, root / "masks" / split
    if not (root / "masks").is_dir() and images_folder.is_dir():
        if masks_named.text == ANY_NAME:
            raise InputError(
                f"{root / 'masks'}: no such folder; for masks beside the images, set `mask_names`, such as "
                f"{ANY_NAME}_mask"
            )
        masks_folder = images_folder
    image_files = _files(images_folder)
    mask_files = image_files if masks_folder == images_folder else _files(masks_folder)
    masks = _named(mask_files, masks_named)
    if masks_folder == images_folder:
        image_files = {name: path for name, path in image_files.items() if masks_named.name_in(name) is None}
    images = _named(image_files, images_named)
    lone_images = [name for name in images if name not in masks]
    lone_masks = [name for name in masks if name not in images]
    if lone_images and images_named.text == masks_named.text == ANY_NAME:
        _suggest_patterns(images_folder, lone_images, lone_masks, num_images=len(images))
    in_other_case = {name.casefold(): masks[name] for name in lone_masks}
    mistakes = [
        f"{path}: its name does not fit image_names, which are {images_named.text}; rename it or move it elsewhere"
        for name, path in image_files.items()
        if images_named.name_in(name) is None
    ]
    for name in lone_images:
        missing = images_named.beside(images[name], pattern=masks_named, folder=images_folder, to=masks_folder)
        near = in_other_case.get(name.casefold())
        hint = f"; {near} differs from it by case, so rename one of them" if near else ""
        mistakes.append(f"{images[name]}: no mask {missing}{hint}")
    for name in lone_masks:
        missing = masks_named.beside(masks[name], pattern=images_named, folder=masks_folder, to=images_folder)
        mistakes.append(f"{masks[name]}: no image {missing}")
    raise_listed(mistakes)
    return [Item(name, image, masks[name]) for name, image in images.items()]


def _named(files: Mapping[str, Path], pattern: _Pattern) -> dict[str, Path]:
    """The files that fit a pattern, by the names in it."""
    return {found: path for name, path in files.items() if (found := pattern.name_in(name)) is not None}


def _suggest_patterns(folder: Path, images: Sequence[str], masks: Sequence[str], *, num_images: int) -> None:
    """Raise InputError that says which patterns match all images without a mask, if there are such patterns.

    Patterns come from the first image and the masks that begin or end as it does.
    """
    first, fits = images[0], list[tuple[str, str, str]]()
    by_start = sorted(masks, key=lambda mask: -len(_common_start(first, mask)))
    by_end = sorted(masks, key=lambda mask: -len(_common_start(first[::-1], mask[::-1])))
    for mask in dict.fromkeys((*by_start[:5], *by_end[:5])):
        for image_pattern, mask_pattern in _patterns_of(first, mask):
            of_image, of_mask = _Pattern(image_pattern), _Pattern(mask_pattern)
            if {of_image.name_in(each) for each in images} <= {of_mask.name_in(each) for each in masks} - {None}:
                fits.append((image_pattern, mask_pattern, mask))
                break
    if fits:
        image_pattern, _, mask = fits[0]
        options = [f'"{mask_pattern}"' for pattern, mask_pattern, _ in fits if pattern == image_pattern]
        says = [] if image_pattern == ANY_NAME else [f'`image_names: "{image_pattern}"`']
        says += [] if options == [f'"{ANY_NAME}"'] else [f"`mask_names: {' or '.join(options)}`"]
        raise InputError(
            f"{folder}: {len(images)} of {num_images} images have no mask of the same name, but {first} and {mask} "
            f"look like a pair; set {' and '.join(says)} in the dataset's source"
        )


def _patterns_of(image: str, mask: str) -> Iterator[tuple[str, str]]:
    """Patterns by which an image and a mask would have the same name: what both begin or end with."""
    image, mask = image.rpartition("__")[2], mask.rpartition("__")[2]
    start, end = _common_start(image, mask), _common_start(image[::-1], mask[::-1])[::-1]
    for name in (start.rstrip("_-. "), start, end.lstrip("_-. "), end):
        if name:
            yield image.replace(name, ANY_NAME, 1), mask.replace(name, ANY_NAME, 1)


def _common_start(first: str, second: str) -> str:
    length = next((i for i, (one, other) in enumerate(zip(first, second, strict=False)) if one != other), None)
    return first[:length] if length is not None else min(first, second, key=len)


def _files(folder: Path) -> dict[str, Path]:
    """The image files in a folder and its subfolders, linked ones too, by name."""
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder")
    files: dict[str, Path] = {}
    mistakes = []
    for path in sorted(_visible(folder)):
        suffix = path.suffix.lower()
        if suffix in Image.registered_extensions():
            first = files.setdefault(_name(path.relative_to(folder)), path)
            if first != path:
                mistakes.append(f"{path}: it has the same name as {first}")
        elif suffix not in NO_IMAGES:
            kind = f"{''.join(path.suffixes[-2:])} file" if suffix else "file without a suffix"
            mistakes.append(
                f"{path}: a {kind} is no image that can be read; save it as PNG or TIFF, or move it elsewhere"
            )
    raise_listed(mistakes)
    return files


def _visible(folder: Path) -> Iterator[Path]:
    """Files in a folder and its subfolders whose names do not begin with a dot, and not in such folders."""
    above = {folder: {folder.resolve()}}
    for where, folders, names in os.walk(folder, followlinks=True):
        here = Path(where)
        kept = [name for name in folders if not name.startswith(".") and name != "__MACOSX"]
        folders[:] = [name for name in kept if (here / name).resolve() not in above[here]]  # a link to a folder above
        above |= {here / name: above[here] | {(here / name).resolve()} for name in folders}
        yield from (here / name for name in names if not name.startswith("."))


def _name(path: Path) -> str:
    """The name of the image at a path in its folder."""
    kept = path.with_suffix("") if path.suffix.lower() in Image.registered_extensions() else path
    return _normal("__".join(kept.parts))


def _normal(name: str) -> str:
    """One spelling of a name: an umlaut may be one character or two, as on macOS."""
    return unicodedata.normalize("NFC", name)


def _read_list(path: Path, names: Collection[str], images_named: _Pattern) -> list[str]:
    """The names in a list, one per line, with or without suffix and pattern. InputError if one is not in `names`."""
    if not path.is_file():
        raise InputError(f"{path}: no such file; a split by lists needs train.txt, val.txt and test.txt")
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not a text file ({error})") from None
    listed = [_name(Path(line.strip())) for line in lines if line.strip()]
    found = [name if name in names else images_named.name_in(name) or name for name in listed]
    raise_listed([f"{path}: there is no image {name}" for name in found if name not in names])
    return found


def _deal(groups: Sequence[str], split: params.RatioSplit) -> list[str]:
    """The split of each image. Groups, in random order, go to the split that has the least of its share so far."""
    shares = {"train": 1 - split.val - split.test, "val": split.val, "test": split.test}
    sizes, counts = Counter(groups), Counter[str]()
    split_of: dict[str, str] = {}
    for group in np.random.default_rng(split.seed).permutation(sorted(sizes)).tolist():
        split_of[group] = min(SPLITS, key=lambda name: counts[name] / shares[name])
        counts[split_of[group]] += sizes[group]
    return [split_of[group] for group in groups]


def _groups(path: Path, images_named: _Pattern) -> dict[str, str]:
    """The group of each image by name."""
    groups: dict[str, str] = {}
    for record in read_records(path, columns=["name", "group"]):
        listed = _name(Path(record["name"]))
        if not record["group"].strip():
            raise InputError(f"{path}: {listed} has no group; name one, or the image itself if it has no other")
        for name in (listed, images_named.name_in(listed) or listed):
            if groups.setdefault(name, record["group"]) != record["group"]:
                raise InputError(
                    f"{path}: {name} has the groups {groups[name]} and {record['group']}; it must have one"
                )
    return groups


def _check_in_one_split(kind: str, places: Iterable[tuple[str, str]]) -> None:
    """Raise InputError, with one line per name, if (name, split) pairs give a name several splits."""
    splits_of: dict[str, list[str]] = defaultdict(list)
    for name, split in dict.fromkeys(places):
        splits_of[name].append(split)
    shared = {name: splits for name, splits in splits_of.items() if len(splits) > 1}
    raise_listed([f"{kind} {name} is in {' and '.join(splits)}; it must be in one" for name, splits in shared.items()])
