"""Labels images that people have, and writes what they asked for.

In the folder `out`, under each image's own name: label_maps/, indexed PNG files whose values are class indices;
overlays/, the images under the classes' colours; probabilities/, if asked for. summary.csv and summary.json have one
row per image: the share of each class, and how long the prediction took.
"""

import csv
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from math import hypot
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from tqdm import tqdm

from segbench.datasets.raw import read_photo
from segbench.errors import InputError, raise_listed
from segbench.files import replacing, write_json
from segbench.images import RGBImage, write_label_map
from segbench.labels import Classes, LabelMap, class_shares
from segbench.packages.card import Card
from segbench.packages.model import PackagedModel
from segbench.prediction.predictor import timed

LABEL_MAPS, OVERLAYS, PROBABILITIES = "label_maps", "overlays", "probabilities"
OPACITY = 0.55
"""Of the classes' colours over an image."""
TEXT_PX = 16
MOST_TIMES_LARGER = 2.0
"""Beyond this ratio of diagonals to the training images, a note is printed."""


@dataclass(frozen=True)
class Wanted:
    """What to write of each image, and how to label it.

    crf: refine label maps, if a CRF was better on validation images. bits: of 16 per channel, how many images use.
    overwrite: replace files that are there.
    """

    crf: bool = True
    overlays: bool = True
    probabilities: bool = False
    bits: int | None = None
    overwrite: bool = False


@dataclass(frozen=True)
class Input:
    """An image to label, and its name in `out`: its path below the folder that was named, without the suffix."""

    path: Path
    name: str


@dataclass(frozen=True)
class Row:
    """What the summary says of an image."""

    image: str
    width_px: int
    height_px: int
    latency_ms: float
    shares: dict[str, float]


@dataclass(frozen=True)
class Outcome:
    """rows: of the images that were labelled. failed: one line for each that could not be."""

    rows: tuple[Row, ...]
    failed: tuple[str, ...]


def label_images(model: PackagedModel, inputs: Sequence[Input], out: Path, wanted: Wanted) -> Outcome:
    """Label images, and write the results but the summary. An image that cannot be read is named and left out.

    Raises InputError before any work if results are there already, or cannot be written.
    """
    _check_out(out, inputs, wanted)
    rows, failed, is_warm = [], [], False
    for each in tqdm(inputs, desc=model.card.name, unit="image", disable=None):
        try:
            image = read_photo(each.path, bits=wanted.bits or model.card.bits).pixels
        except InputError as error:
            failed.append(str(error))
            tqdm.write(f"left out: {error}", file=sys.stderr)
            continue
        if not is_warm and (note := size_note(image, model.card)):
            tqdm.write(f"note: {each.path}: {note}", file=sys.stderr)
        if (tile_px := model.tile_px(image)) and not model.card.tile_px:
            tqdm.write(f"note: {each.path}: labelled by tiles of {tile_px} px", file=sys.stderr)
        if not is_warm and not tile_px:  # the first prediction compiles and sets up: it says nothing about latency
            model.label_map(image, crf=wanted.crf)
            is_warm = True
        rows.append(_label(model, each, image, out, wanted))
    return Outcome(tuple(rows), tuple(failed))


def _label(model: PackagedModel, each: Input, image: RGBImage, out: Path, wanted: Wanted) -> Row:
    classes = model.card.classes
    label_map, latency_ms = timed(lambda: model.label_map(image, crf=wanted.crf))
    write_label_map(out / LABEL_MAPS / f"{each.name}.png", label_map, classes)
    if wanted.overlays:
        with replacing(out / OVERLAYS / f"{each.name}.jpg") as temporary:
            with_legend(image, label_map, classes).save(temporary, format="JPEG", quality=92)
    if wanted.probabilities:
        with replacing(out / PROBABILITIES / f"{each.name}.npz") as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, probabilities=model.probabilities(image).astype(np.float16))
    height, width = label_map.shape
    return Row(str(each.path), width, height, round(latency_ms, 2), class_shares(label_map, classes))


def find_inputs(named: Iterable[Path], *, out: Path) -> list[Input]:
    """The images that people name: files, and all images in folders and below, but not the results in `out`.

    Raises InputError for a path that is not there, a folder without images, and two images of one name.
    """
    found: dict[str, Input] = {}
    mistakes = []
    results = [(out / name).resolve() for name in (LABEL_MAPS, OVERLAYS, PROBABILITIES)]
    for path in named:
        if path.is_dir():
            images = [image for image in sorted(_images_in(path)) if not _is_result(image, results)]
            if not images:
                mistakes.append(f"{path}: no image in this folder; it must hold PNG, JPEG, TIFF or other images")
            inputs = [Input(image, image.relative_to(path).with_suffix("").as_posix()) for image in images]
        elif path.exists():
            inputs = [Input(path, path.stem)]
        else:
            mistakes.append(f"{path}: no such file or folder")
            continue
        for each in inputs:
            first = found.setdefault(each.name, each)
            if first.path != each.path:
                mistakes.append(f"{each.path}: it would get the name of {first.path}; label them in two runs")
    raise_listed(mistakes)
    return list(found.values())


def _is_result(image: Path, results: Sequence[Path]) -> bool:
    return any(image.resolve().is_relative_to(folder) for folder in results)


def _images_in(folder: Path) -> Iterator[Path]:
    """Image files in a folder and below, but none whose name, or a folder's, begins with a dot."""
    suffixes = {suffix for suffix, kind in Image.registered_extensions().items() if kind in Image.OPEN}
    for path in folder.rglob("*"):
        hidden = any(part.startswith(".") or part == "__MACOSX" for part in path.relative_to(folder).parts)
        if not hidden and path.suffix.lower() in suffixes and path.is_file():
            yield path


def _check_out(out: Path, inputs: Sequence[Input], wanted: Wanted) -> None:
    there = [out / LABEL_MAPS / f"{each.name}.png" for each in inputs]
    there = [path for path in (*there, out / "summary.csv") if path.exists()]
    if there and not wanted.overwrite:
        others = f" and {len(there) - 1} more" if len(there) > 1 else ""
        raise InputError(f"{there[0]}{others}: there already; name another folder, or say --overwrite")
    check_writable(out)


def check_writable(folder: Path) -> None:
    """Make the folder if it is missing. InputError if it cannot be written to."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with replacing(folder / ".writable") as temporary:
            temporary.touch()
        (folder / ".writable").unlink()
    except OSError as error:
        raise InputError(f"{folder}: cannot be written to ({error.strerror}); name another folder") from None


def overlay(image: RGBImage, label_map: LabelMap, classes: Classes) -> Image.Image:
    """The image under its label map's colours, made in bytes: large images in floats would take gigabytes."""
    return Image.blend(Image.fromarray(image), Image.fromarray(classes.colorize(label_map)), OPACITY)


def with_legend(image: RGBImage, label_map: LabelMap, classes: Classes) -> Image.Image:
    """The image under its label map's colours, and below it the name of each class that it shows."""
    blended = overlay(image, label_map, classes)
    shown = [index for index in np.unique(label_map) if index < len(classes)]
    font = ImageFont.load_default(TEXT_PX)
    width = max(blended.width, 160)
    places, x, y = [], 6, 6
    for index in shown:
        name = classes.names[index]
        taken = round(font.getlength(name)) + TEXT_PX + 18
        if x + taken > width and x > 6:
            x, y = 6, y + TEXT_PX + 8
        places.append((x, y, index))
        x += taken
    page = Image.new("RGB", (width, blended.height + y + TEXT_PX + 10), (255, 255, 255))
    page.paste(blended, (0, 0))
    draw = ImageDraw.Draw(page)
    for x, y, index in places:
        top = blended.height + y
        draw.rectangle((x, top, x + TEXT_PX, top + TEXT_PX), fill=classes.colors[index], outline=(120, 120, 120))
        draw.text((x + TEXT_PX + 5, top - 2), classes.names[index], fill=(30, 30, 30), font=font)
    return page


def size_note(image: RGBImage, card: Card) -> str:
    """What to think of where an image is of quite another size than those that the model was trained on."""
    height, width = image.shape[:2]
    ratio = hypot(width, height) / hypot(*card.image_px)
    if 1 / MOST_TIMES_LARGER <= ratio <= MOST_TIMES_LARGER:
        return ""
    how, times = ("larger", ratio) if ratio > 1 else ("smaller", 1 / ratio)
    trained = "x".join(map(str, card.image_px))
    return (
        f"{width}x{height} px, {times:.1f} times {how} than the training images ({trained} px); if it shows the same "
        "things at another size, resize it first, since networks do not recognise things at any size"
    )


def write_summary(out: Path, rows: Sequence[Row], classes: Classes) -> None:
    """Write summary.csv and summary.json, one row per image."""
    with replacing(out / "summary.csv") as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["image", "width_px", "height_px", "latency_ms", *(f"share_{name}" for name in classes.names)])
        for row in rows:
            of_classes = [f"{row.shares[name]:.6f}" for name in classes.names]
            writer.writerow([row.image, row.width_px, row.height_px, row.latency_ms, *of_classes])
    write_json(out / "summary.json", [asdict(row) for row in rows])
