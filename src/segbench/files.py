"""The only reading and writing of images, label maps and JSON. Every write is atomic: whole or not at all."""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from segbench.errors import InputError, about
from segbench.labels import Classes, LabelMap

RGBImage = NDArray[np.uint8]
"""(H, W, 3) uint8 RGB."""


def project_root() -> Path:
    """The project that DVC runs for, also from the temporary copies in which it runs experiments."""
    return Path(os.environ.get("DVC_ROOT", ".")).resolve()


def read_image(path: Path) -> RGBImage:
    """Any image file -> (H, W, 3) uint8 RGB. InputError if it is missing or damaged."""
    with _opened(path) as image:
        return np.asarray(image.convert("RGB"))


def read_label_map(path: Path) -> LabelMap:
    """A grey or palette image -> (H, W) uint8 values. InputError if it is missing, damaged or in colour."""
    with _opened(path) as image:
        if image.mode not in ("L", "P"):
            raise InputError(f"{path}: mode {image.mode}; a label map must be 8-bit grey or palette, one value a pixel")
        return np.asarray(image)


def read_indexed_or_colored(path: Path, classes: Classes) -> LabelMap:
    """As `read_label_map`, and RGB images in the classes' colours too. InputError also for a colour of no class."""
    with _opened(path) as image:
        if image.mode in ("RGB", "RGBA"):
            with about(path):
                return classes.from_colors(np.asarray(image.convert("RGB")))
    return read_label_map(path)


def read_mask(path: Path) -> NDArray[np.integer]:
    """A mask as its file has it: (H, W) values of a grey or palette image, or (H, W, 3) uint8 RGB.

    Values may have 16 bits; of black and white they are 0 and 255. Opacity is dropped. InputError if the file is
    missing, damaged or of another kind.
    """
    with _opened(path) as image:
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
    """An image of up to 16 bits a channel, of which it uses `bits` -> (H, W, 3) uint8 RGB, upright as it was taken.

    Images of 8 bits stay as they are. InputError if the file is missing, damaged, of another kind, or uses more bits.
    """
    with _opened(path) as image:
        if not _has_16_bits(path):
            if image.mode in ("F", "I"):
                raise InputError(f"{path}: mode {image.mode}; an image must have 8 or 16 bits a channel")
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
    with Image.open(path) as image:  # before its pixels are read: they lose what the file's raw mode tells
        return any(";16" in str(tile) for tile in image.tile)


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    try:
        with Image.open(path) as image:
            image.load()
            yield image
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except InputError:
        raise
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise InputError(f"{path}: not a readable image ({error}); replace the file") from None


def write_image(path: Path, image: RGBImage) -> None:
    """Write (H, W, 3) uint8 RGB as PNG."""
    with replacing(path) as temporary:
        Image.fromarray(image).save(temporary, format="PNG", compress_level=1)


def write_label_map(path: Path, label_map: LabelMap, classes: Classes) -> None:
    """Write a label map as indexed PNG in the classes' colours: values for programs, colours for people."""
    with replacing(path) as temporary:
        image = Image.fromarray(label_map, mode="P")
        image.putpalette(classes.palette().tobytes())
        image.save(temporary, format="PNG", compress_level=1)


def resize_image(image: RGBImage, *, height_px: int, width_px: int) -> RGBImage:
    """Bilinear with antialiasing, by target size."""
    if image.shape[:2] == (height_px, width_px):
        return image
    return np.asarray(Image.fromarray(image).resize((width_px, height_px), Image.Resampling.BILINEAR))


def scale_image(image: RGBImage, *, scale: float) -> RGBImage:
    """The image at `scale` times its size: as a network sees it."""
    height, width = image.shape[:2]
    return resize_image(image, height_px=round(height * scale), width_px=round(width * scale))


def read_json(path: Path) -> Any:
    """The parsed content of a JSON file. InputError if it is missing or damaged."""
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except ValueError as error:
        raise InputError(f"{path}: not valid JSON: {error}") from None


def write_json(path: Path, content: Any) -> None:
    """Write readable JSON with a newline at the end. NaN is refused."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` that takes its place, file or folder, when the block ends without an error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        yield temporary
        put_in_place(temporary, path)
    finally:
        if temporary.is_dir():
            shutil.rmtree(temporary)
        else:
            temporary.unlink(missing_ok=True)


def put_in_place(temporary: Path, path: Path) -> None:
    """Let a whole file or folder take the place of another. A kill leaves the former, none or the new, never a part."""
    former = path.with_name(f".{path.name}.former")
    if former.is_dir():  # a kill's
        shutil.rmtree(former)
    if path.is_dir():
        path.rename(former)
        temporary.replace(path)
        shutil.rmtree(former)
    else:
        temporary.replace(path)
