"""Images and label maps as data URLs for a page that needs no other file."""

from base64 import b64encode
from collections.abc import Sequence
from io import BytesIO
from math import ceil
from typing import Any

import numpy as np
from PIL import Image

from segbench.files import RGBImage, resize_image
from segbench.labels import IGNORE_INDEX, Classes, LabelMap, resize_label_map

MAX_SIDE_PX = 640
"""Larger pictures are reduced to this: a page shows no more of them."""
MAX_SHEET_PX = 16383
"""What WebP allows a side."""


def photo_url(image: RGBImage) -> str:
    """The image as WebP, at most MAX_SIDE_PX a side."""
    height_px, width_px = shown_size(image.shape[0], image.shape[1])
    return _url(resize_image(image, height_px=height_px, width_px=width_px), quality=88)


def sheet_url(label_maps: Sequence[LabelMap], classes: Classes) -> tuple[str, int]:
    """Label maps of one size on one sheet in the classes' colours, as lossless WebP; and the sheet's number of rows.

    The maps fill the first column from the top, then the next. On one sheet, what a map shares with the one above it
    costs next to nothing.
    """
    height_px, width_px = shown_size(*label_maps[0].shape)
    rows = min(len(label_maps), MAX_SHEET_PX // height_px)
    columns = ceil(len(label_maps) / rows)
    sheet = np.full((rows * height_px, columns * width_px), IGNORE_INDEX, np.uint8)
    for index, label_map in enumerate(label_maps):
        top, left = index % rows * height_px, index // rows * width_px
        sheet[top : top + height_px, left : left + width_px] = resize_label_map(
            label_map, height_px=height_px, width_px=width_px
        )
    return _url(classes.colorize(sheet), lossless=True, quality=60, method=4), rows


def shown_size(height_px: int, width_px: int) -> tuple[int, int]:
    """The size at which a picture is embedded."""
    factor = min(1.0, MAX_SIDE_PX / max(height_px, width_px))
    return max(1, round(height_px * factor)), max(1, round(width_px * factor))


def _url(image: RGBImage, **options: Any) -> str:
    stream = BytesIO()
    Image.fromarray(image).save(stream, format="WEBP", **options)
    return f"data:image/webp;base64,{b64encode(stream.getvalue()).decode()}"
