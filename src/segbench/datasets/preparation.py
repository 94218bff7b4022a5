"""Bringing a source's examples into the prepared form: each is checked, and the dataset appears only if all are good.

Only a few images are in memory at a time. Until all are written, they lie in a folder beside the prepared dataset,
with a journal of the finished ones. After a kill or an error, the next run continues from there.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, astuple
from functools import partial
from pathlib import Path
from typing import Any

import imagehash
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tqdm import tqdm

from segbench.datasets.alignment import Alignment, align
from segbench.datasets.prepared import Prepared, Row, write_manifest
from segbench.datasets.source import SPLITS, Example, Source
from segbench.errors import InputError, raise_listed
from segbench.files import put_in_place, replacing, write_json
from segbench.images import write_image, write_label_map
from segbench.labels import IGNORE_INDEX, Classes, check_label_range
from segbench.parallel import SharedMemory, available_memory_bytes, map_in_order, num_cores
from segbench.sources import source_digests

JOURNAL = "journal.jsonl"
BYTES_PER_PIXEL = 20
"""The most memory that reading, checking and writing an image was seen to take is 16 bytes per pixel, of 16-bit RGB."""
MEMORY_SHARE = 0.5
"""Of the memory that is free, images that are prepared at the same time take so much."""

Outcome = tuple[Row, Alignment | None]
"""Of a good example. The alignment is for the audit alone, so it is no column of the manifest, on which training
depends."""


def prepare(source: Source, root: Path) -> Prepared:
    """As `prepare_and_align`, for the dataset alone."""
    prepared, _ = prepare_and_align(source, root)
    return prepared


def prepare_and_align(source: Source, root: Path) -> tuple[Prepared, tuple[Alignment | None, ...]]:
    """Check every example and write it to `root`, which stays as it was until all of them are good.

    Returns the dataset, and for each of its rows how well the label map's edges lie on the image's. Raises InputError
    if a split is empty or has two images of one name; with one line per image, if an image or label map is damaged,
    their sizes differ, or a label is outside the classes; and if no pixel of a split has a class.
    """
    _check_names(source)
    unfinished = root.with_name(f".{root.name}.partial")
    is_resumed = unfinished.exists()
    unfinished.mkdir(parents=True, exist_ok=True)
    rows: list[Row] = []
    alignments: list[Alignment | None] = []
    errors = []
    for outcome in tqdm(
        _outcomes(source, unfinished), total=len(source.examples), desc="prepare", unit="image", disable=None
    ):
        if isinstance(outcome, InputError):
            errors.append(str(outcome))
        else:
            rows.append(outcome[0])
            alignments.append(outcome[1])
    raise_listed(errors)
    _check_labelled(rows)
    if is_resumed:
        _remove_others(unfinished, rows)
    write_manifest(unfinished / "manifest.csv", rows, source.classes)
    prepared = Prepared(root, source.classes, fingerprint=_fingerprint(rows, source.classes), rows=tuple(rows))
    classes = [{"name": name, "color": color} for name, color in zip(*astuple(source.classes), strict=True)]
    write_json(unfinished / "dataset.json", {"classes": classes, "fingerprint": prepared.fingerprint})
    (unfinished / JOURNAL).unlink()
    put_in_place(unfinished, root)
    return prepared, tuple(alignments)


def _check_names(source: Source) -> None:
    for split in SPLITS:
        if not any(example.split == split for example in source.examples):
            raise InputError(f"the split {split} is empty; it must have at least one image")
    counts = Counter((example.split, example.name) for example in source.examples)
    raise_listed(
        [
            f"{split}/{name}: named {count} times; a split names an image once"
            for (split, name), count in counts.items()
            if count > 1
        ]
    )


def _check_labelled(rows: Sequence[Row]) -> None:
    for split in SPLITS:
        if not any(sum(row.class_pixels) for row in rows if row.split == split):
            raise InputError(f"no pixel of the split {split} has a class; label at least one of its images")


def _outcomes(source: Source, unfinished: Path) -> Iterator[Outcome | InputError]:
    """Yield each example's outcome, after writing it to the journal, or the example's error, in the examples' order."""
    path, common = unfinished / JOURNAL, _common_digest(source)
    keys = {(example.split, example.name): _key(example, common) for example in source.examples}
    written = _read_journal(path, keys)
    with replacing(path) as temporary:  # what this run will write anew must not be taken for done by the next one
        temporary.write_text("".join(map(_line, written, written.values())), encoding="utf-8")
    memory = SharedMemory(MEMORY_SHARE * available_memory_bytes())

    def outcome_of(example: Example) -> tuple[str | None, Outcome | InputError]:
        key = keys[example.split, example.name]
        if key in written:
            return None, written[key]
        try:
            with memory.holding(BYTES_PER_PIXEL * _num_pixels(example)):
                return key, _write(example, source, unfinished)
        except InputError as error:
            return None, error

    with path.open("a", encoding="utf-8") as journal:
        for key, outcome in map_in_order(outcome_of, source.examples, workers=num_cores()):
            if key and not isinstance(outcome, InputError):
                journal.write(_line(key, outcome))
                journal.flush()
            yield outcome


def _line(key: str | None, outcome: Outcome) -> str:
    """The newline comes first: the last line may be incomplete, if the process was killed while writing it."""
    row, alignment = outcome
    return f"\n{json.dumps([key, asdict(row), alignment and asdict(alignment)])}"


def _read_journal(path: Path, keys: Mapping[tuple[str, str], str | None]) -> dict[str, Outcome]:
    """The outcomes by key of the examples whose files were last written with the key that they have now.

    keys: by split and name. An example with other arguments in a later run has overwritten the files of the former.
    """
    last: dict[tuple[str, str], tuple[str, Outcome]] = {}
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        with suppress(ValueError):  # an incomplete line
            key, content, alignment = json.loads(line)
            row = Row(**{**content, "class_pixels": tuple(content["class_pixels"])})
            last[row.split, row.name] = key, (row, alignment and Alignment(**alignment))
    return {key: outcome for name, (key, outcome) in last.items() if keys.get(name) == key}


def _common_digest(source: Source) -> str:
    """Digest of the classes and of the code that loads, checks and writes examples: all rows depend on these."""
    modules = {load.func.__module__ for example in source.examples if (load := _known_loader(example))}
    code = source_digests(__name__, *modules)
    return hashlib.sha256(repr((source.classes, source.ignore_index, code)).encode()).hexdigest()


def _known_loader(example: Example) -> "partial[Any] | None":
    """The example's loader, if its code and arguments fix its result: a partial of a function of segbench."""
    load = example.load
    return load if isinstance(load, partial) and load.func.__module__.startswith("segbench.") else None


def _key(example: Example, common: str) -> str | None:
    """The example's key in the journal, which changes with its arguments and files; None without a known loader."""
    load = _known_loader(example)
    if load is None:
        return None
    files = [path.stat() for path in load.args if isinstance(path, Path) and path.exists()]
    what = [(file.st_size, file.st_mtime_ns) for file in files], load.func.__qualname__, load.args, load.keywords
    names = example.split, example.name, example.group, example.block
    return hashlib.sha256(repr((common, names, what)).encode()).hexdigest()


def _num_pixels(example: Example) -> int:
    """How many pixels the largest of the example's files has; 0 where no file says."""
    load, num_pixels = _known_loader(example), 0
    for path in load.args if load else ():
        with suppress(Exception), Image.open(path) as image:  # what is wrong with a file is told when it is read
            num_pixels = max(num_pixels, image.width * image.height)
    return num_pixels


def _write(example: Example, source: Source, root: Path) -> Outcome:
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
    counts = np.sum([np.bincount(labels, minlength=IGNORE_INDEX + 1) for labels in label_map], axis=0)
    row = Row(
        split=example.split,
        name=example.name,
        group=example.group,
        block=example.block,
        height_px=label_map.shape[0],
        width_px=label_map.shape[1],
        class_pixels=tuple(int(count) for count in counts[:num_classes]),
        ignored_pixels=int(counts[IGNORE_INDEX]),
        image_digest=_digest(image),
        label_digest=_digest(label_map),
        perceptual_hash=int(str(imagehash.phash(Image.fromarray(image))), 16),
    )
    return row, align(image, label_map)


def _digest(pixels: NDArray[np.uint8]) -> str:
    return hashlib.sha256(repr(pixels.shape).encode() + pixels.tobytes()).hexdigest()[:32]


def _remove_others(unfinished: Path, rows: Sequence[Row]) -> None:
    """Remove images of an earlier run that are not in this one, and half-written files of a killed run."""
    names = {(row.split, f"{row.name}.png") for row in rows}
    for path in unfinished.glob("*/*/*"):
        if (path.parts[-3], path.name) not in names:
            path.unlink()


def _fingerprint(rows: Sequence[Row], classes: Classes) -> str:
    identity = [str(classes)] + [
        f"{row.split}/{row.name}/{row.group}/{row.block}/{row.image_digest}/{row.label_digest}" for row in rows
    ]
    return hashlib.sha256("\n".join(identity).encode()).hexdigest()[:16]
