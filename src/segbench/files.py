"""Where files lie, and how they are written: whole or not at all. JSON and CSV; images are in `images`."""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segbench.errors import InputError

if TYPE_CHECKING:
    import pandas as pd  # takes half a second, which stages that write no table save


def project_root() -> Path:
    """The project that DVC runs for, also from the temporary copies in which it runs experiments."""
    return Path(os.environ.get("DVC_ROOT", ".")).resolve()


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


def write_csv(path: Path, table: "pd.DataFrame") -> None:
    """Write a table without its index; every digit of a number, nothing for what is missing."""
    with replacing(path) as temporary:
        table.to_csv(temporary, index=False, lineterminator="\n")


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
