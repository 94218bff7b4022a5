"""The project's folder, JSON and CSV files, and replacing a file or folder so that no half-written one is left."""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segbench.errors import InputError

if TYPE_CHECKING:
    import pandas as pd  # takes half a second: only stages that write a table import it


def project_root() -> Path:
    """The project's folder; while DVC runs an experiment in a temporary copy, the original folder."""
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
    """Write indented JSON that ends with a newline. Raises ValueError for NaN and infinity, which JSON lacks."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n")


def write_csv(path: Path, table: "pd.DataFrame") -> None:
    """Write a table without its index: numbers with all their digits, missing values as empty cells."""
    with replacing(path) as temporary:
        table.to_csv(temporary, index=False, lineterminator="\n")


def write_nothing(*paths: Path) -> None:
    """Leave what a stage must, for a model that it has nothing to do for: empty folders and files, `{}` as JSON."""
    for path in paths:
        with replacing(path) as temporary:
            if path.suffix:
                temporary.write_text("{}\n" if path.suffix == ".json" else "")
            else:
                temporary.mkdir()


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`. When the block ends, the file or folder that it wrote there replaces `path`.

    If the block raises, `path` stays as it was and the temporary file or folder is removed.
    """
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
    """Move a finished file or folder to `path`.

    If the process is killed meanwhile, `path` is the old one, the new one or missing, but never half of one.
    """
    former = path.with_name(f".{path.name}.former")
    if former.is_dir():  # left by a killed process
        shutil.rmtree(former)
    if path.is_dir():
        path.rename(former)
        temporary.replace(path)
        shutil.rmtree(former)
    else:
        temporary.replace(path)
