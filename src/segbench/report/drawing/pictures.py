"""The test images that reports show: contact sheets of label maps, one per model, and data URLs for the page."""

from base64 import b64encode
from collections.abc import Sequence
from io import BytesIO
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from segbench.datasets.prepared import Prepared, Row
from segbench.files import replacing
from segbench.images import RGBImage, read_label_map, resize_image
from segbench.labels import IGNORE_INDEX, RGB, Classes, LabelMap, resize_label_map

MAX_IMAGES = 100
"""More than fit into the page, so that it can show the worst of them; few enough to keep their label maps in git."""
MAX_SIDE_PX = 480
"""Larger pictures are reduced to this size."""
SHEET_ROWS = 10
MAX_SHEET_PX = 16383
"""WebP's limit."""


def pictured(data: Prepared) -> tuple[Row, ...]:
    """The test images that reports may show, evenly spaced."""
    return data.sample("test", MAX_IMAGES)


def reduced_image(image: RGBImage) -> RGBImage:
    """No side longer than MAX_SIDE_PX."""
    height_px, width_px = _shown_size(image.shape[0], image.shape[1])
    return resize_image(image, height_px=height_px, width_px=width_px)


def reduced_label_map(label_map: LabelMap) -> LabelMap:
    """No side longer than MAX_SIDE_PX."""
    height_px, width_px = _shown_size(*label_map.shape)
    return resize_label_map(label_map, height_px=height_px, width_px=width_px)


def write_contact_sheet(path: Path, label_maps: Sequence[LabelMap], classes: Classes) -> None:
    """Write the reduced label maps in columns, as one indexed PNG."""
    sheet = Image.fromarray(
        _sheet([reduced_label_map(label_map) for label_map in label_maps], rows=SHEET_ROWS), mode="P"
    )
    sheet.putpalette(classes.palette().tobytes())
    with replacing(path) as temporary:
        sheet.save(temporary, format="PNG", optimize=True)


def read_contact_sheet(path: Path, images: Sequence[Row]) -> list[LabelMap]:
    """The reduced label maps of these images that `write_contact_sheet` wrote. InputError if the file is missing."""
    sheet = read_label_map(path)
    sizes = [_shown_size(image.height_px, image.width_px) for image in images]
    return [sheet[cell] for cell in _cells(sizes, rows=SHEET_ROWS)]


def photo_url(image: RGBImage) -> str:
    """The image as WebP."""
    return _url(image, quality=88)


def sheet_url(label_maps: Sequence[LabelMap], classes: Classes) -> tuple[str, int]:
    """Label maps of one size on one sheet in `sheet_colors`, as lossless WebP, and the sheet's number of rows.

    One sheet is much smaller than single pictures, since label maps of one image resemble each other.
    """
    rows = min(len(label_maps), MAX_SHEET_PX // label_maps[0].shape[0])
    palette = np.zeros((256, 3), np.uint8)
    palette[[*range(len(classes)), IGNORE_INDEX]] = sheet_colors(classes)
    return _url(palette[_sheet(label_maps, rows=rows)], lossless=True, quality=60, method=4), rows


def sheet_colors(classes: Classes) -> list[RGB]:
    """One colour per class, then that of pixels without a class: each different, so that it tells the class.

    They are the classes' colours and black. Where one of them is there already, its lowest bits are changed.
    """
    changes = sorted(product(range(8), repeat=3), key=sum)
    colors: list[RGB] = []
    for red, green, blue in (*classes.colors, (0, 0, 0)):
        near = ((red ^ in_red, green ^ in_green, blue ^ in_blue) for in_red, in_green, in_blue in changes)
        colors.append(next(color for color in near if color not in colors))
    return colors


def _sheet(label_maps: Sequence[LabelMap], *, rows: int) -> LabelMap:
    """Label maps in cells of the largest one's size, column by column, from the top."""
    cells = _cells([label_map.shape for label_map in label_maps], rows=rows)
    height_px, width_px = (max(cell[side].stop for cell in cells) for side in (0, 1))
    sheet = np.full((height_px, width_px), IGNORE_INDEX, np.uint8)
    for cell, label_map in zip(cells, label_maps, strict=True):
        sheet[cell] = label_map
    return sheet


def _cells(sizes: Sequence[tuple[int, ...]], *, rows: int) -> list[tuple[slice, slice]]:
    """Where each label map lies on the sheet. sizes: (height, width) in px."""
    tallest, widest = (max(size[side] for size in sizes) for side in (0, 1))
    corners = [(index % rows * tallest, index // rows * widest) for index in range(len(sizes))]
    return [
        (slice(top, top + height), slice(left, left + width))
        for (top, left), (height, width) in zip(corners, sizes, strict=True)
    ]


def _shown_size(height_px: int, width_px: int) -> tuple[int, int]:
    factor = min(1.0, MAX_SIDE_PX / max(height_px, width_px))
    return max(1, round(height_px * factor)), max(1, round(width_px * factor))


def _url(image: RGBImage, **options: Any) -> str:
    stream = BytesIO()
    Image.fromarray(image).save(stream, format="WEBP", **options)
    return f"data:image/webp;base64,{b64encode(stream.getvalue()).decode()}"
