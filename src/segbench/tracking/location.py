"""Where the store is, and whether it can be written to: found out without importing MLflow, which takes seconds."""

import os
import socket
import sqlite3
from contextlib import closing, suppress
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote, urlsplit

from segbench.files import project_root

PATIENCE_S = 1.0
DEFAULT_PORTS = {"http": 80, "https": 443}


def store_uri() -> str:
    """What MLFLOW_TRACKING_URI names, else mlflow.db in the project's root."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{project_root() / 'mlflow.db'}"


def shown(uri: str) -> str:
    """The store for messages: a file's path, or the address without a password."""
    if (path := sqlite_path(uri)) is not None:
        return str(path)
    parts = urlsplit(uri)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


PLACES = {"runs": "artifact_uri", "logged_models": "artifact_location", "model_versions": "storage_location"}
"""Columns of MLflow's tables, beside those of its experiments, with whole paths of files."""


def follow_the_project() -> None:
    """Let runs and models in mlflow.db find their files, which it names by whole paths, in a project that was moved.

    MLflow remembers paths, so this comes before the first use of a client.
    """
    folder, path = project_root() / "mlartifacts", project_root() / "mlflow.db"
    if os.environ.get("MLFLOW_TRACKING_URI") or not path.exists():
        return
    with suppress(sqlite3.Error), closing(sqlite3.connect(path, timeout=PATIENCE_S)) as store, store:
        places = store.execute("SELECT experiment_id, name, artifact_location FROM experiments").fetchall()
        for number, name, before in places:
            now = (folder / name).as_uri()
            if before != now and before.endswith(now.removeprefix(project_root().as_uri())):
                store.execute("UPDATE experiments SET artifact_location = ? WHERE experiment_id = ?", (now, number))
                for table, column in PLACES.items():
                    store.execute(
                        f"UPDATE {table} SET {column} = ? || substr({column}, ?) WHERE substr({column}, 1, ?) = ?",
                        (now, len(before) + 1, len(before), before),
                    )


def sqlite_path(uri: str) -> Path | None:
    """The file of an SQLite store; None for others."""
    scheme, _, rest = uri.partition(":///")
    return Path(rest.partition("?")[0]) if scheme.partition("+")[0] == "sqlite" and rest else None


def problem(uri: str) -> str:
    """What keeps a run from being sent there; empty if nothing is known to."""
    if (path := sqlite_path(uri)) is not None:
        return _problem_of_file(path) if path.exists() else _problem_of_folder(path.parent)
    parts = urlsplit(uri)
    if parts.scheme in DEFAULT_PORTS:
        return _problem_of_server(uri)
    if parts.scheme in ("", "file") and os.environ.get("MLFLOW_ALLOW_FILE_STORE", "").lower() not in ("true", "1"):
        return "MLflow no longer writes folders; MLFLOW_TRACKING_URI must be sqlite:///FILE or a server's address"
    return ""


def _problem_of_folder(folder: Path) -> str:
    if not folder.is_dir():
        return f"there is no folder {folder}"
    return "" if os.access(folder, os.W_OK) else "the folder cannot be written to"


def _problem_of_file(path: Path) -> str:
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=rw", uri=True, timeout=PATIENCE_S)) as connection:
            connection.execute("SELECT 1 FROM runs LIMIT 1")
            ((version,),) = connection.execute("SELECT version_num FROM alembic_version").fetchall()
    except (sqlite3.Error, ValueError) as error:
        if "locked" in str(error):  # another process writes
            return ""
        if "no such table" in str(error) or isinstance(error, ValueError):
            return "it is no complete MLflow store; move it away, and a new one will be made"
        return f"{error}; if it cannot be mended, move it away, and a new one will be made"
    if not os.access(path, os.W_OK):
        return "the file cannot be written to"
    return _problem_of_version(version) or _problem_of_folder(path.parent)


@cache
def _problem_of_version(version: str) -> str:
    """Whether the tables are of another release of MLflow, as its migrations' files say."""
    spec = find_spec("mlflow")
    folders = spec.submodule_search_locations if spec else None
    files = sorted(Path(folder, "store/db_migrations/versions") for folder in folders or [])
    texts = [path.read_text() for folder in files for path in folder.glob("*.py")]
    if not any(f'\nrevision = "{version}"' in text for text in texts):
        return "it is of a later version of MLflow than is installed"
    if any(f'\ndown_revision = "{version}"' in text for text in texts):
        return "it is of an earlier version of MLflow; update it by: mlflow db upgrade URI"
    return ""


def _problem_of_server(uri: str) -> str:
    from urllib.request import getproxies, proxy_bypass

    parts = urlsplit(uri)
    host = parts.hostname or ""
    if parts.scheme in getproxies() and not proxy_bypass(host):
        return ""
    try:
        socket.create_connection((host, parts.port or DEFAULT_PORTS[parts.scheme]), timeout=PATIENCE_S).close()
    except (OSError, ValueError) as error:
        return f"the server cannot be reached ({getattr(error, 'strerror', None) or error})"
    return ""
