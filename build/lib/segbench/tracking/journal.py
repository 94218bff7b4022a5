"""A run as it is written to disk, one line of JSON per entry, before anything is sent to MLflow.

Each run has a folder of its own in data/tracking, which is removed when all of it has been sent. Who writes to a
journal, or sends it, holds its lock, which ends with the process.
"""

import json
import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from filelock import FileLock

from segbench.files import project_root, read_json, write_json
from segbench.tracking.trouble import warn

ENTRIES, FILES, SENT = "entries.jsonl", "files", "sent.json"
Entry = dict[str, Any]


def folder_of_journals() -> Path:
    """Where all journals are."""
    return project_root() / "data" / "tracking"


def journal_names() -> list[str]:
    """The names of all journals in the order in which they were begun."""
    folder = folder_of_journals()
    return sorted(path.name for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []


class Journal:
    """The entries and files of one run. Writing never raises OSError: entries wait in memory until there is room."""

    def __init__(self, name: str) -> None:
        """name: new, or that of a journal on disk. Use one of the methods that lock it."""
        self.name = name
        self.folder = folder_of_journals() / name
        self._lock = FileLock(self.folder.with_name(f"{name}.lock"))
        self._unwritten = b""
        self._has_warned = False
        self._logged: set[tuple[str, int]] | None = None

    @classmethod
    def begin(cls, header: Mapping[str, Any]) -> "Journal":
        """A new journal, locked, whose first entry is the header."""
        journal = cls(f"{now_ms():013d}-{uuid.uuid4().hex[:12]}")
        journal.append(dict(header))
        return journal

    @classmethod
    def reopen(cls, name: str, *, wait_s: float = 0) -> "Journal | None":
        """A journal on disk, locked; None if it is gone, or still locked by another process after so many seconds."""
        if name not in journal_names():  # the text may be of a damaged file
            return None
        journal = cls(name)
        try:
            journal._lock.acquire(timeout=wait_s)
        except OSError:  # filelock's Timeout is one
            return None
        if (journal.folder / ENTRIES).exists():
            return journal
        if journal.folder.is_dir():  # killed before its first entry
            journal.remove()
        journal.close()
        return None

    def append(self, entry: Entry) -> None:
        """Add an entry, and see it on the disk."""
        self._unwritten += json.dumps(entry).encode() + b"\n"
        try:
            self._write()
        except OSError as error:
            if not self._has_warned:
                reason = error.strerror or error
                warn(f"{self.folder}: {reason}; the run's entries are kept in memory until they can be written")
            self._has_warned = True

    def _write(self) -> None:
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        if not self._lock.is_locked:
            self._lock.acquire()  # before there is a folder that another process could find
        self.folder.mkdir(exist_ok=True)
        with (self.folder / ENTRIES).open("ab+", buffering=0) as file:
            size = _whole_bytes(file.seek(0, os.SEEK_END), self.folder / ENTRIES)
            file.truncate(size)
            try:
                _write_all(file.fileno(), self._unwritten)
                os.fsync(file.fileno())
            except OSError:
                with suppress(OSError):
                    file.truncate(size)
                raise
        self._unwritten = b""

    def add_file(self, path: Path, folder: str) -> None:
        """Add a copy of a file, which will lie in that folder of the run's artifacts."""
        self._add(path.name, folder, lambda kept: shutil.copyfile(path, kept))

    def add_text(self, text: str, name: str) -> None:
        """Add a file with that text, which will lie among the run's artifacts."""
        self._add(name, "", lambda kept: kept.write_text(text, encoding="utf-8"))

    def _add(self, name: str, folder: str, write: Callable[[Path], object]) -> None:
        kept = self.folder / FILES / folder / name
        try:
            kept.parent.mkdir(parents=True, exist_ok=True)
            write(kept)
        except OSError as error:
            warn(f"{kept}: {error.strerror or error}; MLflow will not have this file")
            with suppress(OSError):
                kept.unlink(missing_ok=True)
            return
        self.append({"do": "file", "folder": folder, "file": name})

    def path_of(self, entry: Entry) -> Path:
        """The copy that an entry of a file speaks of."""
        return self.folder / FILES / str(entry["folder"]) / str(entry["file"])

    def entries(self, start: int = 0) -> Iterator[tuple[Entry, int]]:
        """Whole entries from a byte on, each with the byte at which the next one begins."""
        if not (self.folder / ENTRIES).exists():  # not yet written, as on a full disk
            return
        with (self.folder / ENTRIES).open("rb") as file:
            file.seek(start)
            for line in file:
                start += len(line)
                if not line.endswith(b"\n"):  # torn by a kill
                    return
                with suppress(ValueError):
                    yield json.loads(line), start

    @property
    def is_of_training(self) -> bool:
        """Whether a training began it; else an evaluation, which joins the run of its training."""
        return bool((self.header or {}).get("name_file"))

    @property
    def header(self) -> Entry | None:
        """The first entry; None if it is damaged."""
        first = next((entry for entry, _ in self.entries()), {})
        return first if first.get("do") == "begin" else None

    @property
    def has_ended(self) -> bool:
        """Whether the run's last word is that it has ended, in whatever way."""
        words = [entry["status"] for entry, _ in self.entries() if entry["do"] == "status"]
        return bool(words) and words[-1] != "RUNNING"

    @property
    def size(self) -> int:
        """Bytes of whole entries."""
        return max((end for _, end in self.entries()), default=0)

    def is_new(self, name: str, *, step: int) -> bool:
        """Whether it has no metric of that name for that step. From now on it counts as having it."""
        if self._logged is None:
            self._logged = set()
            with suppress(OSError):
                for entry, _ in self.entries():
                    if entry["do"] == "metrics":
                        self._logged |= {(known, entry["step"]) for known in entry["metrics"]}
        was_known = (name, step) in self._logged
        self._logged.add((name, step))
        return not was_known

    @property
    def sent(self) -> dict[str, Any]:
        """Up to which byte it was sent, and where: uri, run_id, end. Empty if nothing was."""
        try:
            known: dict[str, Any] = read_json(self.folder / SENT)
        except (ValueError, OSError):  # missing or damaged: what is sent twice changes nothing
            return {}
        return known

    def note_sent(self, *, uri: str, run_id: str, end: int) -> None:
        """Remember what was sent. On a full disk it is not, so that entries are sent twice, which changes nothing."""
        with suppress(OSError):
            write_json(self.folder / SENT, {"uri": uri, "run_id": run_id, "end": end})

    @property
    def is_continued(self) -> bool:
        """Whether a killed training may still continue it: its name lies beside the checkpoints."""
        name_file = (self.header or {}).get("name_file")
        try:
            return name_file is not None and Path(name_file).read_text(encoding="utf-8") == self.name
        except OSError:
            return False

    def close(self) -> None:
        """Let others send it."""
        self._lock.release()

    def remove(self) -> None:
        """Remove it from the disk, and let it go."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.close()
        Path(self._lock.lock_file).unlink(missing_ok=True)


def now_ms() -> int:
    """MLflow's clock."""
    return int(time.time() * 1000)


def _whole_bytes(size: int, path: Path) -> int:
    """Where the last whole line ends: a kill may have torn one."""
    if size == 0:
        return 0
    with path.open("rb") as file:
        file.seek(size - 1)
        if file.read(1) == b"\n":
            return size
        file.seek(0)
        return file.read().rfind(b"\n") + 1


def _write_all(descriptor: int, content: bytes) -> None:
    while content:
        content = content[os.write(descriptor, content) :]
