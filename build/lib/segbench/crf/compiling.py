"""Compilation of the CRF's functions at their first use; the result is kept on disk. They release the GIL."""

import hashlib
import os
from pathlib import Path

from numba import config, njit

FOLDER = Path(__file__).parent


def _sources_digest() -> str:
    """16 hexadecimal digits of the room's source files that have compiled functions."""
    digest = hashlib.sha256()
    for path in sorted(FOLDER.glob("*.py")):
        source = path.read_bytes()
        if b"numba" in source or b"crf.compiling" in source:
            digest.update(source)
    return digest.hexdigest()[:16]


def _kept_in() -> Path:
    """The folder of compiled functions: one for each state of the sources.

    Compiled functions contain those that they call, but numba looks for changes only in a function's own file.
    """
    chosen = config.CACHE_DIR or (FOLDER if os.access(FOLDER, os.W_OK) else Path.home() / ".cache" / "segbench")
    return Path(chosen) / "__pycache__" / f"compiled-{_sources_digest()}"


_KEPT_IN = str(_kept_in())


def compiled(function):
    """Compile a function for the types of its arguments."""
    before, config.CACHE_DIR = config.CACHE_DIR, _KEPT_IN
    try:
        return njit(cache=True, nogil=True, error_model="numpy")(function)
    finally:
        config.CACHE_DIR = before
