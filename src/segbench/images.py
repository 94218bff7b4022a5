"""Reading and writing images and label maps, and resizing images."""

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from segbench.errors import InputError
from segbench.files import replacing
from segbench.labels import Classes, LabelMap

warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)  # half of what is refused

RGBImage = NDArray[np.uint8]
"""(H, W, 3) uint8 RGB."""


def read_image(path: Path) -> RGBImage:
    """(H, W, 3) uint8 RGB of any image file. Raises InputError if it is missing or damaged."""
    with open_image(path) as image:
        return np.asarray(image.convert("RGB"))


def read_label_map(path: Path) -> LabelMap:
    """(H, W) uint8 values of a grey or palette image. Raises InputError if it is missing, damaged or in colour."""
    with open_image(path) as image:
        if image.mode not in ("L", "P"):
            raise InputError(f"{path}: mode {image.mode}; a label map must be 8-bit grey or palette")
        return np.asarray(image)


@contextmanager
def open_image(path: Path) -> Iterator[Image.Image]:
    """Open and load an image for the block. Raises InputError if the file is missing or damaged."""
    try:
        with Image.open(path) as image:
            image.load()
            yield image
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except InputError:
        raise
    except Image.DecompressionBombError:
        most = 2 * int(Image.MAX_IMAGE_PIXELS or 0)
        raise InputError(f"{path}: more than {most} pixels; cut it into tiles or make it smaller") from None
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        raise InputError(f"{path}: not a readable image ({error}); replace the file") from None


def write_image(path: Path, image: RGBImage) -> None:
    """Write (H, W, 3) uint8 RGB as PNG."""
    with replacing(path) as temporary:
        Image.fromarray(image).save(temporary, format="PNG", compress_level=1)


def write_label_map(path: Path, label_map: LabelMap, classes: Classes) -> None:
    """Write a label map as indexed PNG: pixel values are class indices, the palette shows the classes' colours."""
    with replacing(path) as temporary:
        temporary.write_bytes(label_map_png(label_map, classes))


def label_map_png(label_map: LabelMap, classes: Classes) -> bytes:
    """The file that `write_label_map` writes."""
    image = Image.fromarray(label_map, mode="P")
    image.putpalette(classes.palette().tobytes())
    file = io.BytesIO()
    image.save(file, format="PNG", compress_level=1)
    return file.getvalue()


def resize_image(image: RGBImage, *, height_px: int, width_px: int) -> RGBImage:
    """Resize to a target size, bilinearly with antialiasing."""
    if image.shape[:2] == (height_px, width_px):
        return image
    return np.asarray(Image.fromarray(image).resize((width_px, height_px), Image.Resampling.BILINEAR))


def scale_image(image: RGBImage, *, scale: float) -> RGBImage:
    """Resize to `scale` times the image's size, the size at which a network sees it."""
    height, width = scaled_size(image, scale=scale)
    return resize_image(image, height_px=height, width_px=width)


def scaled_size(image: RGBImage, *, scale: float) -> tuple[int, int]:
    """(height, width) of what `scale_image` gives, at least a pixel each."""
    height, width = image.shape[:2]
    return max(1, round(height * scale)), max(1, round(width * scale))
