"""A stage's result is of the values that it was told: they are compared when it ends with those when it began.

DVC takes down what a stage depends on after the stage's command. An edit of params.yaml meanwhile would be recorded as
the value that the result is of.
"""

import hashlib
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from segbench.errors import InputError
from segbench.files import file_digest, project_root
from segbench.sources import code_digest

PARAMS_FILE = "params.yaml"
SOURCES = "data/sources"
MOST_SHOWN = 60
MADE = ("data", "reports")
"""Folders of what stages make, which DVC itself keeps others from writing while a stage reads."""


@dataclass(frozen=True)
class Told:
    """What dvc.yaml says of the stage that runs. values: of all that it depends on, by a path such as `train.lr`."""

    stage: str
    body: Mapping[str, Any]
    names: Mapping[str, str]
    values: Mapping[str, Any]

    @classmethod
    def read(cls, stage: str, *, dataset: str, model: str) -> "Told":
        """Read the dependencies of a stage, named as DVC names it: train@scenes-unet, or src/dvc.yaml:check."""
        file, _, name = stage.rpartition(":")
        entry = _read(Path(file or "dvc.yaml"))["stages"][name.partition("@")[0]]
        body = entry.get("do", entry)
        names = {"${item.dataset}": dataset, "${item.model}": model, "${item}": dataset}
        return cls(stage, body, names, dict(_values(body, names)))

    def changes(self) -> list[str]:
        """What has changed since, in words."""
        now = dict(_values(self.body, self.names))
        return [
            _change(path, self.values.get(path), now.get(path))
            for path in {**self.values, **now}
            if self.values.get(path) != now.get(path)
        ]

    def edited_sources(self) -> list[str]:
        """Sources, and files that params.yaml names, that are not as `check` saw them."""
        found = []
        for where, digest in self.values.items():
            file, _, name = where.partition(": ")
            if not file.startswith(SOURCES):
                continue
            if name.endswith(".py"):
                is_edited = _is_later(Path(name), than=file) and _code_digest(Path(name)) != digest
            else:
                path = project_root() / name
                is_edited = path.is_file() and _is_later(path, than=file) and file_digest(path) != digest
            if is_edited:
                found.append(name)
        return found

    def remove_outputs(self) -> None:
        """Remove the stage's outputs, as DVC did when it started. Those that DVC leaves then are left now too."""
        for kind in ("outs", "metrics", "plots"):
            for entry in self.body.get(kind, []):
                name, options = next(iter(entry.items())) if isinstance(entry, dict) else (entry, {})
                path = Path(_filled(name, self.names))
                if options.get("persist"):
                    continue
                if path.is_dir():
                    shutil.rmtree(path)
                else:
                    path.unlink(missing_ok=True)


_told: list[Told] = []
"""Of the stage that runs in this process; empty unless DVC started it."""


@contextmanager
def unchanged(*, dataset: str, model: str) -> Iterator[None]:
    """Refuse with InputError, and leave no output, if what the stage depends on changes before the block ends.

    Refuse at once if a source has been edited since `check`, by whose digest DVC would take the result as current after
    the edit is undone. Without DVC, which would record the wrong values, nothing is looked at.
    """
    if "DVC_STAGE" not in os.environ:
        yield
        return
    told = Told.read(os.environ["DVC_STAGE"], dataset=dataset, model=model)
    if edited := told.edited_sources():
        raise InputError(f"{', '.join(edited)}: edited since the stage check; run dvc repro again")
    _told[:] = [told]
    try:
        yield
        refuse_changes()
    finally:
        _told.clear()


def refuse_changes() -> None:
    """As at the end of `unchanged`, for a stage that would remove at its end what it can continue from."""
    for told in _told:
        changes = told.changes()
        if changes:
            told.remove_outputs()
            raise InputError(
                f"{'; '.join(changes[:3])}: changed while {told.stage} ran, so that its result would be recorded as of "
                "other values than it was made with; it is not kept. Run dvc repro again"
            )


def _values(body: Mapping[str, Any], names: Mapping[str, str]) -> Iterator[tuple[str, Any]]:
    """(where, value) of each parameter that the stage declares, and of each source among its dependencies a digest."""
    trees: dict[str, Any] = {}
    for entry in body.get("params", []):
        file, path = (PARAMS_FILE, entry) if isinstance(entry, str) else (next(iter(entry)), "")
        file, path = _filled(file, names), _filled(path, names)
        if file not in trees:
            trees[file] = _read(Path(file))
        node = trees[file]
        for key in path.split(".") if path else []:
            node = node.get(key) if isinstance(node, dict) else None
        yield from ((f"{file}: {where}", value) for where, value in _leaves(node, path))
    for name in body.get("deps", []):
        root = Path(_filled(name, names))
        if root.parts[0] in MADE:
            continue
        for file_path in sorted(root.rglob("*")) if root.is_dir() else [root]:
            if file_path.is_file() and "__pycache__" not in file_path.parts:
                yield str(file_path), hashlib.sha256(file_path.read_bytes()).hexdigest()


def _is_later(path: Path, *, than: str) -> bool:
    """Whether a file is missing, or was written after another: only such a one can differ from its digest there."""
    return not path.exists() or path.stat().st_mtime_ns > Path(than).stat().st_mtime_ns


def _code_digest(path: Path) -> str:
    return code_digest(path.read_text(encoding="utf-8")) if path.exists() else ""


def _read(path: Path) -> Any:
    """The values of a YAML or JSON file; its text if it is neither, as while a user edits it; None if it is missing."""
    try:
        text = path.read_text(encoding="utf-8")
        return yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except FileNotFoundError:
        return None
    except yaml.YAMLError:
        return text


def _leaves(node: Any, path: str) -> Iterator[tuple[str, Any]]:
    """(dotted path, value) of every leaf."""
    if isinstance(node, dict) and node:
        for key, value in node.items():
            yield from _leaves(value, f"{path}.{key}" if path else str(key))
    else:
        yield path, node


def _change(where: str, before: Any, now: Any) -> str:
    """`params.yaml: train.lr was 0.004 and is 0.0001`; the place alone where the values are digests or long."""
    is_short = where.startswith(f"{PARAMS_FILE}: ") and len(f"{before}{now}") <= MOST_SHOWN
    return f"{where} was {before} and is {now}" if is_short else where


def _filled(text: str, names: Mapping[str, str]) -> str:
    for name, value in names.items():
        text = text.replace(name, value)
    return text
