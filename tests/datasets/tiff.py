"""TIFF files that Pillow and OpenCV do not write: signed levels, bands without a colour, previews."""

import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

LITTLE_ENDIAN = b"II*\0"
SHORT, LONG = 3, 4
SIZES = {SHORT: 2, LONG: 4}


def write_tiff(path: Path, *pages: tuple[NDArray[Any], dict[int, int]]) -> Path:
    """Write uncompressed pages. Each: (H, W) or (H, W, bands) pixels, and tags that replace or add to the usual ones.

    Tags: 262 is 1 for grey and 2 for RGB, 274 the orientation, 338 the kind of an extra band, 254 is 1 for a preview.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    content = bytearray(LITTLE_ENDIAN + bytes(4))
    link = len(LITTLE_ENDIAN)
    for pixels, own in pages:
        height, width, bands = pixels.shape if pixels.ndim == 3 else (*pixels.shape, 1)
        data = np.ascontiguousarray(pixels).tobytes()
        sample = 2 if pixels.dtype.kind == "i" else 1
        tags: dict[int, tuple[int, list[int]]] = {
            256: (LONG, [width]), 257: (LONG, [height]), 258: (SHORT, bands * [8 * pixels.dtype.itemsize]),
            259: (SHORT, [1]), 262: (SHORT, [1 if bands == 1 else 2]), 273: (LONG, [len(content)]),
            277: (SHORT, [bands]), 278: (LONG, [height]), 279: (LONG, [len(data)]), 339: (SHORT, bands * [sample]),
            **{tag: (SHORT, [value]) for tag, value in own.items()},
        }  # fmt: skip
        content += data
        entries = b""
        for tag, (kind, values) in sorted(tags.items()):
            packed = b"".join(value.to_bytes(SIZES[kind], "little") for value in values)
            if len(packed) > 4:
                place, packed = len(content), packed
                content += packed
                packed = struct.pack("<I", place)
            entries += struct.pack("<HHI", tag, kind, len(values)) + packed.ljust(4, b"\0")
        content[link : link + 4] = struct.pack("<I", len(content))
        content += struct.pack("<H", len(tags)) + entries
        link = len(content)
        content += bytes(4)
    path.write_bytes(content)
    return path
