"""Reading images and masks in the many formats that users' files have."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from segbench.errors import InputError
from segbench.images import RGBImage, open_image


def read_mask(path: Path) -> NDArray[np.integer]:
    """A mask as it is stored: (H, W) values of a grey or palette image, or (H, W, 3) uint8 RGB.

    Values may have up to 16 bits; those of a 1-bit image are 0 and 255. Opacity is dropped. Raises InputError if the
    file is missing, damaged or of another kind.
    """
    with open_image(path) as image:
        match image.mode:
            case "L" | "P" | "I":
                return np.asarray(image)
            case "1":
                return np.asarray(image.convert("L"))
            case "LA" | "PA":
                return np.asarray(image.getchannel(0))
            case "RGB" | "RGBA":
                return np.asarray(image.convert("RGB"))
            case mode if mode.startswith("I;16"):
                return np.asarray(image).astype(np.uint16)
            case mode:
                raise InputError(f"{path}: mode {mode}; a mask must be grey, palette or RGB, of 8 or 16 bits")


def read_photo(path: Path, *, bits: int) -> RGBImage:
    """(H, W, 3) uint8 RGB of an image file with 8 or 16 bits per channel, turned upright as its EXIF data say.

    bits: how many of 16 bits the image uses, 12 for some cameras; images of 8 bits are not scaled. Raises InputError
    if the file is missing, damaged, of another kind, or uses more bits.
    """
    with open_image(path) as image:
        if not _has_16_bits(path):
            if image.mode in ("F", "I"):
                raise InputError(f"{path}: mode {image.mode}; an image must have 8 or 16 bits per channel")
            return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    import cv2  # Pillow keeps only the upper half of 16-bit RGB

    deep = cv2.imread(str(path), cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH)
    if deep is None:
        raise InputError(f"{path}: not a readable image; replace the file")
    white = 2**bits - 1
    if deep.max() > white:
        raise InputError(f"{path}: level {deep.max()} is above {white}, the most that {bits} bits hold; set `bits`")
    return np.round(deep[..., ::-1] * (255 / white)).astype(np.uint8)


def _has_16_bits(path: Path) -> bool:
    # Only a freshly opened image knows: Pillow forgets the file's own mode when it reads the pixels.
    with Image.open(path) as image:
        return any(";16" in str(tile) for tile in image.tile)
