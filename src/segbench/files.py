"""The project's folder, JSON and CSV files, and replacing a file or folder so that no half-written one is left."""

import hashlib
import json
import os
import shutil
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from glob import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segbench.errors import InputError

if TYPE_CHECKING:
    import pandas as pd  # takes half a second: only stages that write a table import it


def project_root() -> Path:
    """The project's folder; while DVC runs an experiment in a temporary copy, the original folder."""
    return Path(os.environ.get("DVC_ROOT", ".")).resolve()


def file_digest(path: Path) -> str:
    """16 hexadecimal digits of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def folder_digest(folder: Path) -> str:
    """16 hexadecimal digits of the names, sizes and times of all files in a folder: known without reading them."""
    digest = hashlib.sha256()
    for parent, folders, names in os.walk(folder, followlinks=True):
        folders.sort()
        for name in sorted(names):
            path = os.path.join(parent, name)  # noqa: PTH118 -- many times as fast for 100,000 files
            found = os.stat(path) if os.path.exists(path) else None  # noqa: PTH110, PTH116 -- a link may lead nowhere
            state = (found.st_size, found.st_mtime_ns) if found else None
            digest.update(f"{os.path.relpath(path, folder)} {state}\n".encode())
    return digest.hexdigest()[:16]


def flush_to_disk(path: Path) -> None:
    """Wait until a file's content is on the disk: otherwise a power failure may leave its name with nothing in it."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def damage_of(archive: Path) -> str:
    """What is wrong with a file that torch has saved, which is a zip archive with checksums; empty if nothing is.

    Torch itself reads a file with flipped bits without an error.
    """
    try:
        with zipfile.ZipFile(archive) as file:
            damaged = file.testzip()
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, UnicodeDecodeError, RuntimeError) as error:
        return str(error) or type(error).__name__
    return f"the checksum of {damaged} is wrong" if damaged else ""


def read_json(path: Path) -> Any:
    """The parsed content of a JSON file. InputError if it is missing or damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except ValueError as error:
        raise InputError(f"{path}: not valid JSON: {error}") from None


def write_json(path: Path, content: Any) -> None:
    """Write indented JSON that ends with a newline. Raises ValueError for NaN and infinity, which JSON lacks."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def read_csv(path: Path) -> "pd.DataFrame":
    """A table that `write_csv` wrote, numbers with all their digits. InputError if it is missing or damaged."""
    import pandas as pd

    try:
        return pd.read_csv(path, float_precision="round_trip")
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (ValueError, UnicodeDecodeError) as error:  # pandas' own errors are ValueErrors
        raise InputError(f"{path}: damaged ({error}); remove the file and run dvc repro") from None


def write_csv(path: Path, table: "pd.DataFrame") -> None:
    """Write a table without its index: numbers with all their digits, missing values as empty cells."""
    with replacing(path) as temporary:
        table.to_csv(temporary, index=False, lineterminator="\n")


def copy_files(names: Iterable[str], *, source: Path, target: Path) -> None:
    """Copy files of these names from a folder to another. InputError if one is missing."""
    for name in names:
        with replacing(target / name) as temporary:
            try:
                shutil.copyfile(source / name, temporary)
            except FileNotFoundError:
                raise InputError(f"{source / name}: no such file") from None


def write_nothing(*paths: Path) -> None:
    """Leave what a stage must, for a model that it has nothing to do for: empty folders and files, `{}` as JSON."""
    for path in paths:
        with replacing(path) as temporary:
            if path.suffix:
                temporary.write_text("{}\n" if path.suffix == ".json" else "", encoding="utf-8")
            else:
                temporary.mkdir()


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`. When the block ends, the file or folder that it wrote there replaces `path`.

    If the block raises, `path` stays as it was and the temporary file or folder is removed. What a killed process has
    left there is removed by the next one.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_left_over(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        yield temporary
        put_in_place(temporary, path)
    finally:
        if temporary.is_dir():
            shutil.rmtree(temporary)
        else:
            temporary.unlink(missing_ok=True)


def _remove_left_over(path: Path) -> None:
    """Remove temporary files of `path` whose processes have ended: git and DVC would take them for results.

    None are looked for in a folder that is temporary itself, which may hold very many files.
    """
    if any(part.endswith(".partial") for part in path.parts):
        return
    for left in path.parent.glob(f".{escape(path.name)}.*.partial"):
        _remove_of_ended(left)


def remove_all_left_over(folder: Path) -> None:
    """Remove what `replacing` has left in a folder, in the name of ended processes, whatever it was to replace.

    A killed stage is not run again where DVC takes its results out of its cache.
    """
    for left in folder.glob(".*.partial"):
        _remove_of_ended(left)
    for former in folder.glob(".*.former"):
        if former.with_name(former.name.removeprefix(".").removesuffix(".former")).exists():
            shutil.rmtree(former, ignore_errors=True)


def _remove_of_ended(temporary: Path) -> None:
    """Remove a temporary file or folder if it names a process that has ended."""
    process = temporary.name.removesuffix(".partial").rpartition(".")[2]
    if process.isdecimal() and not _is_alive(int(process)):
        if temporary.is_dir():
            shutil.rmtree(temporary, ignore_errors=True)  # another process may do the same
        else:
            temporary.unlink(missing_ok=True)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's
        pass
    return True


def put_in_place(temporary: Path, path: Path) -> None:
    """Move a finished file or folder to `path`.

    If the process is killed meanwhile, `path` is the old one, the new one or missing, but never half of one.
    """
    former = path.with_name(f".{path.name}.former")
    if former.is_dir():  # left by a killed process
        shutil.rmtree(former)
    if path.is_dir():
        path.rename(former)
        temporary.replace(path)
        shutil.rmtree(former, ignore_errors=True)  # another process may do the same
    else:
        temporary.replace(path)
