"""Reading images and masks in the many formats that users' files have.

What could be read in two ways is refused: several pages or frames, bands that have no colour, levels below 0, and
opacity that hides or holds something.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from segbench.errors import InputError
from segbench.images import RGBImage, open_image

Level = TypeVar("Level", bound=np.integer)

UPRIGHT = 1
"""The EXIF orientation of an image that is not turned; cameras write 2 to 8 for flips and turns."""
SWAPPING = (5, 6, 7, 8)
"""Orientations by which height and width change places."""
BACK = {6: 8, 8: 6}
"""Orientations that turn back what another turned; all others turn back what they turned themselves."""
ORIENTATION, PAGE_KIND, BANDS, SAMPLE_FORMAT = 274, 254, 277, 339
"""Tags of TIFF; the first is also EXIF's."""
SIGNED = 2
BITS_OF_MODE = {"1": 1, "L": 8}
STRIP_PIXELS = 1 << 20
"""Large arrays are converted so many pixels at a time: index arrays take eight times the memory of the pixels."""


class Photo(NamedTuple):
    """Pixels, turned upright as the file's EXIF data say, and the orientation that these data gave."""

    pixels: RGBImage
    orientation: int


class Mask(NamedTuple):
    """A mask as it is stored: (H, W) values of up to 16 bits or (H, W, 3) uint8 RGB, and its own EXIF orientation."""

    pixels: NDArray[np.integer]
    orientation: int


def read_mask(path: Path) -> Mask:
    """A mask by value: (H, W) of a grey or palette image, else (H, W, 3).

    Values of a 1-bit image are 0 and 255. Raises InputError if the file is missing, damaged or of another kind, or if
    a value has more than one opacity.
    """
    with _opened(path) as image:
        match image.mode:
            case "L" | "P" | "I":
                pixels = np.asarray(image)
            case "1":
                pixels = np.asarray(image.convert("L"))
            case "LA" | "PA":
                _check_mask_opacity(path, image)
                pixels = np.asarray(image.getchannel(0))
            case "RGB" | "RGBA":
                pixels = _mask_colors(path, image)
            case mode if mode.startswith("I;16"):
                pixels = np.asarray(image).astype(np.uint16)
            case mode:
                raise InputError(f"{path}: mode {mode}; a mask must be grey, palette or RGB, of 8 or 16 bits")
        return _as_stored(path, image, pixels)


def read_colored_mask(path: Path) -> Mask:
    """A mask by colour: (H, W, 3) uint8 RGB of an image of 8 bits. Raises InputError as `read_mask` does."""
    with _opened(path) as image:
        if image.mode not in ("1", "L", "P", "LA", "PA", "RGB", "RGBA"):
            raise InputError(f"{path}: mode {image.mode}; a mask in colours must be grey, palette or RGB, of 8 bits")
        return _as_stored(path, image, _mask_colors(path, image))


def _as_stored(path: Path, image: Image.Image, pixels: NDArray[np.integer]) -> Mask:
    """The mask of a loaded image. pixels: its own, which Pillow has turned upright if it is a TIFF."""
    orientation = _orientation(path, image)
    if image.format == "TIFF":
        pixels = turned(pixels, BACK.get(orientation, orientation))
    return Mask(pixels, orientation)


def _mask_colors(path: Path, image: Image.Image) -> NDArray[np.uint8]:
    if _has_16_bits(path):
        raise InputError(f"{path}: RGB of 16 bits per channel; a mask in colours must have 8")
    _check_mask_opacity(path, image)
    return np.asarray(image.convert("RGB"))


def read_photo(path: Path, *, bits: int) -> Photo:
    """(H, W, 3) uint8 RGB of an image file with 8 or 16 bits per channel.

    bits: how many of 16 bits the image uses, 12 for some cameras; images of 8 bits are not scaled. Raises InputError
    if the file is missing, damaged, of another kind, uses more bits, or is not opaque.
    """
    with _opened(path) as image:
        orientation = _orientation(path, image)
        if not _has_16_bits(path):
            if image.mode in ("F", "I"):
                raise InputError(f"{path}: mode {image.mode}; an image must have 8 or 16 bits per channel")
            if image.has_transparency_data:
                _check_opaque(path, np.asarray(image.convert("RGBA").getchannel("A")), opaque=255)
            to_turn = UPRIGHT if image.format == "TIFF" else orientation  # Pillow has turned a TIFF
            if image.mode.startswith("I;16"):  # JPEG 2000 and TIFF of 12 bits
                pixels = _scaled(path, np.asarray(image, np.uint16), bits=bits)
            else:
                pixels = np.asarray(image.convert("RGB"))
            return Photo(turned(pixels, to_turn), orientation)
        if orientation != UPRIGHT and image.format == "TIFF":  # OpenCV fails on some and turns the others itself
            raise InputError(f"{path}: a TIFF of 16 bits that its tag Orientation turns; save it upright")
    return Photo(turned(_read_deep(path, bits=bits), orientation), orientation)


def _read_deep(path: Path, *, bits: int) -> RGBImage:
    import cv2  # Pillow keeps only the upper half of 16-bit RGB

    deep = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if deep is None:
        raise InputError(f"{path}: not a readable image; replace the file")
    if deep.ndim == 3 and deep.shape[2] == 4:
        _check_opaque(path, deep[..., 3], opaque=65535)
        deep = deep[..., :3]
    return _scaled(path, deep, bits=bits)


def _scaled(path: Path, deep: NDArray[Any], *, bits: int) -> RGBImage:
    """(H, W) or (H, W, 3) levels in the order BGR -> (H, W, 3) uint8 RGB."""
    if deep.min() < 0:
        raise InputError(f"{path}: level {deep.min()} is below 0; shift or cut the levels to 0..{2**bits - 1}")
    white = 2**bits - 1
    if deep.max() > white:
        raise InputError(f"{path}: level {deep.max()} is above {white}, the most that {bits} bits hold; set `bits`")
    level_of = np.round(np.arange(white + 1) * (255 / white)).astype(np.uint8)
    image = np.empty((*deep.shape[:2], 3), np.uint8)
    for rows in strips(height_px=deep.shape[0], width_px=deep.shape[1]):
        levels = level_of[deep[rows]]
        image[rows] = levels[..., ::-1] if levels.ndim == 3 else levels[..., None]
    return image


def strips(*, height_px: int, width_px: int) -> Iterator[slice]:
    """Slices of rows that cover an image, each of about STRIP_PIXELS."""
    rows = max(1, STRIP_PIXELS // width_px)
    for start in range(0, height_px, rows):
        yield slice(start, start + rows)


def turned(pixels: NDArray[Level], orientation: int) -> NDArray[Level]:
    """(H, W) or (H, W, 3) pixels as stored, upright as an EXIF orientation says."""
    match orientation:
        case 2:
            pixels = pixels[:, ::-1]
        case 3:
            pixels = pixels[::-1, ::-1]
        case 4:
            pixels = pixels[::-1]
        case 5:
            pixels = pixels.swapaxes(0, 1)
        case 6:
            pixels = np.rot90(pixels, -1)
        case 7:
            pixels = np.rot90(pixels[::-1])
        case 8:
            pixels = np.rot90(pixels)
    return np.ascontiguousarray(pixels)


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """Open an image for the block. Raises InputError if it holds more than can be read."""
    with open_image(path) as image:
        num_images = _num_images(path, image)
        if num_images > 1:
            raise InputError(
                f"{path}: {num_images} pages or frames in one file; save the one that is meant in a file of its own"
            )
        tags = getattr(image, "tag_v2", {})
        bands, read = int(tags.get(BANDS, 1)), len(image.getbands())
        if bands > read:
            raise InputError(f"{path}: {bands} bands, of which {read} can be read; save it as grey or RGB")
        if SIGNED in tags.get(SAMPLE_FORMAT, ()) and image.mode == "L" and np.asarray(image).max() > 127:
            raise InputError(f"{path}: signed levels, of which some are below 0; save it with levels of 0..255")
        if (
            image.format in ("BMP", "DIB")
            and image.mode in BITS_OF_MODE
            and _bits_of_bmp(path) != BITS_OF_MODE[image.mode]
        ):
            raise InputError(
                f"{path}: a BMP file with a grey palette of few colours, which is read wrongly; save it as PNG"
            )
        if image.format == "TIFF" and _orientation(path, image) in SWAPPING:
            # Pillow 13 maps files that it opens by name into memory with the sides of the upright image: scrambled
            with path.open("rb") as file, Image.open(file) as image:
                image.load()
                yield image
        else:
            yield image


def _bits_of_bmp(path: Path) -> int:
    """Bits per pixel as the file's header says.

    Pillow takes every BMP whose palette is black and white for one of 1 bit, and every other grey one for one of 8.
    """
    with path.open("rb") as file:
        header = file.read(30)
    info = header[14:] if header.startswith(b"BM") else header
    place = 14 if int.from_bytes(info[:4], "little") >= 40 else 10  # the older header has sizes of 2 bytes
    return int.from_bytes(info[place : place + 2], "little")


def _num_images(path: Path, image: Image.Image) -> int:
    """How many pages or frames a file has, without previews.

    Those are the smaller copies in a TIFF, and what some phones put behind the photo into its JPEG file.
    """
    try:
        num_frames: int = getattr(image, "n_frames", 1)
        if image.format != "TIFF" or num_frames == 1:
            return 1 if image.format == "MPO" else num_frames
        kinds = []
        with Image.open(path) as pages:
            for page in range(num_frames):
                pages.seek(page)
                kinds.append(int(getattr(pages, "tag_v2", {}).get(PAGE_KIND, 0)))
    except Exception as error:  # Pillow raises errors of many kinds for damaged files
        raise InputError(f"{path}: its pages or frames cannot be read ({' '.join(str(error).split())})") from None
    return max(1, sum(not kind & 1 for kind in kinds))


def _orientation(path: Path, image: Image.Image) -> int:
    """The EXIF orientation of a loaded image."""
    if image.format == "TIFF":  # Pillow turns it when it reads the pixels, and forgets that
        with Image.open(path) as unread:
            orientation = getattr(unread, "tag_v2", {}).get(ORIENTATION, UPRIGHT)
    else:
        orientation = image.getexif().get(ORIENTATION, UPRIGHT)
    return orientation if orientation in range(1, 9) else UPRIGHT


def _has_16_bits(path: Path) -> bool:
    # Only a freshly opened image knows: Pillow forgets the file's own mode when it reads the pixels.
    with Image.open(path) as image:
        return any(";16" in str(tile) for tile in image.tile)


def _check_opaque(path: Path, opacity: NDArray[Any], *, opaque: int) -> None:
    num_hidden = int(np.count_nonzero(opacity != opaque))
    if num_hidden:
        raise InputError(
            f"{path}: {num_hidden} of {opacity.size} pixels are not opaque by its fourth band or transparent colour; "
            "save it as grey or RGB, over the background that is meant"
        )


def _check_mask_opacity(path: Path, image: Image.Image) -> None:
    """Refuse a mask in which one colour has several opacities: its label may be in the opacity alone."""
    if image.mode not in ("LA", "PA", "RGBA"):
        return
    *color, opacity = (np.asarray(band, np.uint32) for band in image.split())
    if opacity.min() == opacity.max():
        return
    packed = sum((band << 8 * place for place, band in enumerate(color, start=1)), opacity)
    found = np.unique(packed)
    several = np.flatnonzero(np.diff(found >> 8) == 0)
    if several.size:
        first, second = found[several[0]], found[several[0] + 1]
        of = ", ".join(str(int(first >> 8 * place & 255)) for place in range(1, len(color) + 1))
        raise InputError(
            f"{path}: pixels of {'colour' if len(color) > 1 else 'value'} {of} have the opacities {first & 255} and "
            f"{second & 255}, so that the label may be in the opacity; save the labels as grey, palette or RGB"
        )
