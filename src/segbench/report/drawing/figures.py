"""Figures of captioned pictures, and label maps laid over images. Depends on neither scores nor matplotlib.

All figures are as wide as a column of GitHub's pages, drawn for sharp screens, so that their text can be read there.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps

from segbench.files import replacing
from segbench.images import RGBImage
from segbench.labels import IGNORE_INDEX, RGB, Classes, LabelMap

SHOWN_PX = 830
"""The width of a column of GitHub's pages, to which it reduces wider figures."""
SHARPNESS = 1.5
"""Pixels of a figure for each pixel of that column; more would double the size of the files."""
WIDTH_PX = round(SHARPNESS * SHOWN_PX)
TEXT_PX, LINE_PX, GAP_PX = round(SHARPNESS * 12), round(SHARPNESS * 16), round(SHARPNESS * 4)
BACKGROUND, INK = (255, 255, 255), (40, 40, 40)
NO_CLASS = {"no class": (0, 0, 0)}
"""How `Classes.colorize` shows pixels without a class."""
WRONG, MENDED, SPOILED = (70, 70, 70), (0, 119, 187), (221, 51, 17)
"""Marks of pixels, which people who see red and green alike can tell apart."""
PALENESS = 0.7
"""Of label maps on which pixels are marked."""


@dataclass(frozen=True)
class Tile:
    """A picture, with a line of text above it and one below, either of which may be empty."""

    picture: RGBImage
    above: str = ""
    below: str = ""


@dataclass(frozen=True)
class Part:
    """Rows of tiles under a heading. None: an empty place. beside: lines of text on the left of each row."""

    rows: Sequence[Sequence[Tile | None]]
    heading: str = ""
    beside: Sequence[str] = ()


def mean_iou_text(mean_iou: float) -> str:
    """A fraction as captions have it; NaN: no pixel of the image has a true class."""
    return "nothing to score" if np.isnan(mean_iou) else f"mIoU {100 * mean_iou:.1f} %"


def overlay(image: RGBImage, label_map: LabelMap, classes: Classes) -> RGBImage:
    """The image with its label map's colours over it; pixels without a class stay as they are."""
    blended = (0.45 * image + 0.55 * classes.colorize(label_map)).astype(np.uint8)
    return np.where((label_map == IGNORE_INDEX)[..., None], image, blended)


def marked(
    predicted: LabelMap, *, truth: LabelMap, classes: Classes, before: LabelMap | None = None
) -> RGBImage:  # fmt: skip
    """The predicted label map in pale colours, its wrong pixels marked; those without a true class are never wrong.

    before: another prediction, which `predicted` has mended and spoiled: such pixels have marks of their own.
    """
    pale = 255 - (1 - PALENESS) * (255 - classes.colorize(predicted).astype(np.float64))
    picture, is_known = pale.astype(np.uint8), truth != IGNORE_INDEX
    is_wrong = is_known & (predicted != truth)
    picture[is_wrong] = WRONG
    if before is not None:
        was_wrong = is_known & (before != truth)
        picture[was_wrong & ~is_wrong] = MENDED
        picture[is_wrong & ~was_wrong] = SPOILED
    return picture


def write_grid(
    path: Path, rows: Sequence[Sequence[RGBImage]], *, headers: Sequence[str], row_headers: Sequence[str] = (),
    classes: Classes, marks: Mapping[str, RGB],
) -> None:  # fmt: skip
    """A grid of pictures under column headers and beside row headers, as `write_figure` draws it.

    headers: one per column; repeated if there are fewer. row_headers: one per row, of one or more lines.
    """
    tiles = [
        [Tile(picture, headers[column % len(headers)] if not index else "") for column, picture in enumerate(row)]
        for index, row in enumerate(rows)
    ]
    write_figure(path, [Part(tiles, beside=row_headers)], classes=classes, marks=marks)


def write_figure(
    path: Path, parts: Sequence[Part], *, classes: Classes, marks: Mapping[str, RGB], title: str = ""
) -> None:  # fmt: skip
    """Tiles in columns as wide as fit, with the colours of marks and classes below. path: .png, or .jpg for photos.

    marks: colours beside those of the classes, by what they mean. All cells have the first picture's shape, but are no
    higher than wide; other shapes are fitted into it. Small pictures are enlarged so that each pixel shows.
    """
    font = ImageFont.load_default(TEXT_PX)
    lines = [line for part in parts for text in part.beside for line in text.splitlines()]
    left = max((round(font.getlength(_shortened(line, font, WIDTH_PX // 4))) + GAP_PX for line in lines), default=0)
    num_columns = max(len(row) for part in parts for row in part.rows)
    width = (WIDTH_PX - GAP_PX - left) // num_columns - GAP_PX
    first = next(tile.picture for part in parts for row in part.rows for tile in row if tile)
    cell = (width, min(width, max(1, round(width * first.shape[0] / first.shape[1]))))
    strips = [_text(title, font)] if title else []
    for part in parts:
        strips += [_text(part.heading, font)] if part.heading else []
        for index, row in enumerate(part.rows):
            strips.append(_row(row, part.beside[index] if part.beside else "", left=left, cell=cell, font=font))
    strips.append(_legend([*marks.items(), *zip(classes.names, classes.colors, strict=True)], font))
    page = Image.new("RGB", (WIDTH_PX, sum(strip.height for strip in strips) + GAP_PX), BACKGROUND)
    top = 0
    for strip in strips:
        page.paste(strip, (0, top))
        top += strip.height
    save: dict[str, dict[str, Any]] = {
        ".png": {"format": "PNG", "optimize": True},
        ".jpg": {"format": "JPEG", "quality": 90, "subsampling": 0},
    }
    with replacing(path) as temporary:
        page.save(temporary, **save[path.suffix])


Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def _row(
    tiles: Sequence[Tile | None], beside: str, *, left: int, cell: tuple[int, int], font: Font
) -> Image.Image:  # fmt: skip
    """Tiles side by side with their lines of text, and the text beside them. cell: width and height in px."""
    above, below = (
        LINE_PX if any(tile and getattr(tile, place) for tile in tiles) else 0 for place in ("above", "below")
    )
    strip = Image.new("RGB", (WIDTH_PX, GAP_PX + above + cell[1] + below), BACKGROUND)
    draw = ImageDraw.Draw(strip)
    texts = beside.splitlines()
    for number, line in enumerate(texts):
        y = GAP_PX + above + (cell[1] - len(texts) * LINE_PX) // 2 + number * LINE_PX
        draw.text((GAP_PX, y), _shortened(line, font, WIDTH_PX // 4), fill=INK, font=font)
    for column, tile in enumerate(tiles):
        if tile is None:
            continue
        x = GAP_PX + left + column * (cell[0] + GAP_PX)
        draw.text((x, GAP_PX), _shortened(tile.above, font, cell[0]), fill=INK, font=font)
        draw.text((x, GAP_PX + above + cell[1]), _shortened(tile.below, font, cell[0]), fill=INK, font=font)
        is_small = tile.picture.shape[0] <= cell[1] and tile.picture.shape[1] <= cell[0]
        resample = Image.Resampling.NEAREST if is_small else Image.Resampling.BOX
        picture = ImageOps.pad(Image.fromarray(tile.picture), cell, method=resample, color=BACKGROUND)
        strip.paste(picture, (x, GAP_PX + above))
    return strip


def _text(text: str, font: Font) -> Image.Image:
    """A paragraph, broken between words."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if font.getlength(longer) <= WIDTH_PX - 2 * GAP_PX:
            lines[-1] = longer
        else:
            lines.append(word)
    strip = Image.new("RGB", (WIDTH_PX, 2 * GAP_PX + len(lines) * LINE_PX), BACKGROUND)
    draw = ImageDraw.Draw(strip)
    for number, line in enumerate(lines):
        draw.text((GAP_PX, 2 * GAP_PX + number * LINE_PX), line, fill=INK, font=font)
    return strip


def _shortened(text: str, font: Font, width_px: int) -> str:
    """As much of the text as fits, with an ellipsis if some is missing."""
    if font.getlength(text) <= width_px:
        return text
    while text and font.getlength(f"{text}…") > width_px:
        text = text[:-1]
    return f"{text}…"


def _legend(colors: Sequence[tuple[str, RGB]], font: Font) -> Image.Image:
    """Names beside their colours, in as many lines as they need."""
    places, x, line = [], GAP_PX, 0
    for name, _ in colors:
        width = TEXT_PX + GAP_PX + round(font.getlength(name)) + TEXT_PX
        if x > GAP_PX and x + width > WIDTH_PX:
            x, line = GAP_PX, line + 1
        places.append((x, 2 * GAP_PX + line * LINE_PX))
        x += width
    legend = Image.new("RGB", (WIDTH_PX, 2 * GAP_PX + (line + 1) * LINE_PX), BACKGROUND)
    draw = ImageDraw.Draw(legend)
    for (name, color), (left, top) in zip(colors, places, strict=True):
        draw.rectangle((left, top, left + TEXT_PX, top + TEXT_PX), fill=color, outline=(150, 150, 150))
        draw.text((left + TEXT_PX + GAP_PX, top), name, fill=INK, font=font)
    return legend
