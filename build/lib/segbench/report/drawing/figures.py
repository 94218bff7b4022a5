"""Grids of images and label maps, and label maps laid over images. Depends on neither scores nor matplotlib."""

from collections.abc import Sequence
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps

from segbench.files import replacing
from segbench.images import RGBImage
from segbench.labels import IGNORE_INDEX, Classes, LabelMap

GAP_PX = 6
TEXT_PX = 14
HEADER_PX = TEXT_PX + 8
BACKGROUND, INK = (255, 255, 255), (40, 40, 40)


def overlay(image: RGBImage, label_map: LabelMap, classes: Classes) -> RGBImage:
    """The image with its label map's colours over it; pixels without a class stay as they are."""
    blended = (0.45 * image + 0.55 * classes.colorize(label_map)).astype(np.uint8)
    return np.where((label_map == IGNORE_INDEX)[..., None], image, blended)


def write_grid(
    path: Path, rows: Sequence[Sequence[RGBImage]], *, headers: Sequence[str] = (), row_headers: Sequence[str] = (),
    classes: Classes, cell_width_px: int,
) -> None:  # fmt: skip
    """A grid of pictures under column headers and beside row headers, with the classes' colours below.

    headers: one per column; repeated if there are fewer. row_headers: one per row. cell_width_px: small pictures are
    enlarged by whole factors to about this width, so that each pixel shows; large ones are reduced to it. A cell has
    the first picture's size; other sizes are fitted into it. path: .png, or .jpg for photos.
    """
    num_columns = max(len(row) for row in rows)
    height, width = rows[0][0].shape[:2]
    zoom = max(1, round(cell_width_px / width)) if width <= cell_width_px else cell_width_px / width
    cell = (round(width * zoom), round(height * zoom))
    font = ImageFont.load_default(TEXT_PX)
    left = max((round(font.getlength(header)) + 2 * GAP_PX for header in row_headers), default=GAP_PX)
    top = HEADER_PX if headers else GAP_PX
    legend = _legend(classes, left + num_columns * (cell[0] + GAP_PX))
    page = Image.new("RGB", (legend.width, top + len(rows) * (cell[1] + GAP_PX) + legend.height + GAP_PX), BACKGROUND)
    draw = ImageDraw.Draw(page)
    for index, header in enumerate(row_headers):
        draw.text((GAP_PX, top + index * (cell[1] + GAP_PX) + (cell[1] - TEXT_PX) // 2), header, fill=INK, font=font)
    for column in range(num_columns):
        x = left + column * (cell[0] + GAP_PX)
        if headers:
            draw.text((x, 4), headers[column % len(headers)], fill=INK, font=font)
        for index, row in enumerate(rows):
            if column < len(row):
                resample = Image.Resampling.NEAREST if zoom >= 1 else Image.Resampling.BOX
                picture = ImageOps.pad(Image.fromarray(row[column]), cell, method=resample, color=BACKGROUND)
                page.paste(picture, (x, top + index * (cell[1] + GAP_PX)))
    page.paste(legend, (0, page.height - legend.height))
    save: dict[str, dict[str, Any]] = {
        ".png": {"format": "PNG", "optimize": True},
        ".jpg": {"format": "JPEG", "quality": 90, "subsampling": 0},
    }
    with replacing(path) as temporary:
        page.save(temporary, **save[path.suffix])


def _legend(classes: Classes, width_px: int) -> Image.Image:
    font = ImageFont.load_default(TEXT_PX)
    column_px = max(round(font.getlength(name)) for name in classes.names) + 2 * TEXT_PX + 16
    columns = max(1, (width_px - GAP_PX) // column_px)
    legend = Image.new("RGB", (width_px, ceil(len(classes) / columns) * (TEXT_PX + 8) + GAP_PX), BACKGROUND)
    draw = ImageDraw.Draw(legend)
    for index, (name, color) in enumerate(zip(classes.names, classes.colors, strict=True)):
        x, y = GAP_PX + index % columns * column_px, index // columns * (TEXT_PX + 8) + 4
        draw.rectangle((x, y, x + TEXT_PX, y + TEXT_PX), fill=color, outline=(150, 150, 150))
        draw.text((x + TEXT_PX + 6, y), name, fill=INK, font=font)
    return legend
