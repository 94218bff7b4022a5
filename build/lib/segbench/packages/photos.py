"""Images that people want labelled, read as prepare reads those of a dataset."""

import tempfile
from pathlib import Path

from segbench.datasets.raw import read_photo
from segbench.errors import InputError
from segbench.images import RGBImage


def read_photo_bytes(content: bytes, *, name: str, bits: int) -> RGBImage:
    """(H, W, 3) uint8 RGB of an image file's bytes, upright. InputError begins with `name` if it cannot be read."""
    with tempfile.NamedTemporaryFile(prefix="segbench-") as file:  # readers of deep images take paths alone
        file.write(content)
        file.flush()
        try:
            return read_photo(Path(file.name), bits=bits).pixels
        except InputError as error:
            raise InputError(str(error).replace(file.name, name)) from None
