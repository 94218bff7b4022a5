"""Downloads that show progress, resume where they stopped, and are checked for completeness."""

import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import requests
from tqdm import tqdm

from segbench.errors import InputError
from segbench.files import replacing

CHUNK_BYTES = 1 << 20
TIMEOUT_S = 30


def download(url: str, path: Path) -> None:
    """Fetch `url` to `path`. A partial file beside it is resumed if the server can, and started again otherwise.

    Raises OSError (requests' errors are OSErrors) if the server cannot be reached or sends too few bytes. The partial
    file stays, so that the next call resumes it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.partial")
    have_bytes = partial.stat().st_size if partial.exists() else 0
    headers = {"Accept-Encoding": "identity"}  # lengths and ranges would count compressed bytes
    if have_bytes:
        headers["Range"] = f"bytes={have_bytes}-"
    with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT_S) as response:
        if response.status_code == requests.codes.requested_range_not_satisfiable:
            # The partial file is complete, or the server's file has changed; starting again is right in both cases.
            partial.unlink()
            download(url, path)
            return
        response.raise_for_status()
        if response.status_code != requests.codes.partial_content:
            have_bytes = 0
        length = response.headers.get("Content-Length")
        total_bytes = have_bytes + int(length) if length else None
        with (
            partial.open("ab" if have_bytes else "wb") as file,
            tqdm(
                desc=path.name, total=total_bytes, initial=have_bytes, unit="B", unit_scale=True, disable=None
            ) as progress,
        ):
            for chunk in response.iter_content(CHUNK_BYTES):
                file.write(chunk)
                progress.update(len(chunk))
    got_bytes = partial.stat().st_size
    if total_bytes is not None and got_bytes != total_bytes:
        raise OSError(f"{url}: got {got_bytes} of {total_bytes} bytes")
    partial.replace(path)


@contextmanager
def downloading(root: Path) -> Iterator[Path]:
    """Give a temporary folder for torchvision to download into and unpack; it becomes `root` when the block ends.

    Raises InputError that says what to do if the download fails, its checksum is wrong, or the archive has a member
    that would lie, or link to what lies, outside the folder.
    """
    try:
        with replacing(root) as temporary, _unpacking_inside():
            yield temporary
    except (OSError, RuntimeError, EOFError, tarfile.TarError) as error:  # RuntimeError: torchvision's, for a checksum
        reason = " ".join(str(error).split())
        raise InputError(
            f"{root}: no such folder, and it cannot be downloaded ({reason}); run again when online, or put your copy "
            "or a link to it there"
        ) from None


@contextmanager
def _unpacking_inside() -> Iterator[None]:
    """Let tarfile refuse members outside the folder that it unpacks to, as it does by itself from Python 3.14 on."""
    former = vars(tarfile.TarFile)["extraction_filter"]
    tarfile.TarFile.extraction_filter = staticmethod(tarfile.data_filter)
    try:
        yield
    finally:
        tarfile.TarFile.extraction_filter = former
