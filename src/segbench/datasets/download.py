"""Downloads that show their progress, continue where they stopped, and are checked for size."""

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
    """Fetch `url` to `path`; a partial file beside it is continued if the server can, else begun again.

    Raises OSError (requests' errors are OSErrors) if the server cannot be reached or sends too few bytes;
    the partial file stays for the next try.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.partial")
    have_bytes = partial.stat().st_size if partial.exists() else 0
    headers = {"Accept-Encoding": "identity"}  # compressed, lengths and ranges would not be those of the file
    if have_bytes:
        headers["Range"] = f"bytes={have_bytes}-"
    with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT_S) as response:
        if response.status_code == requests.codes.requested_range_not_satisfiable:
            # The partial file is as long as the whole, or the file has changed: only a new start can tell.
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
    """A temporary folder for torchvision to download into, which becomes `root` when all is there and unpacked.

    InputError, one line that says what to do, if it cannot be fetched or is not what its checksum says.
    """
    try:
        with replacing(root) as temporary:
            yield temporary
    except (OSError, RuntimeError, EOFError) as error:  # RuntimeError: torchvision's for a wrong checksum
        reason = " ".join(str(error).split())
        raise InputError(
            f"{root}: no such folder, and it cannot be downloaded ({reason}); run again when online, or put your copy "
            "or a link to it there"
        ) from None
