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
from PIL import Image, UnidentifiedImageError

from segbench.errors import InputError
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
            try:
                return classes.from_colors(np.asarray(image.convert("RGB")))
            except InputError as error:
                raise InputError(f"{path}: {error}") from None
    return read_label_map(path)


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
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
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
        if path.is_dir():
            shutil.rmtree(path)
        temporary.replace(path)
    finally:
        if temporary.is_dir():
            shutil.rmtree(temporary)
        else:
            temporary.unlink(missing_ok=True)
