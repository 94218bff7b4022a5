"""Runs of trainings, evaluations and audits, as stages log to them."""

import hashlib
import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from segbench.machine import git_commit
from segbench.tracking.journal import Journal, now_ms
from segbench.tracking.load import machine_load
from segbench.tracking.names import BENCHMARK, CURVES, IMAGES_SEEN
from segbench.tracking.trouble import warn
from segbench.tracking.waiting import REST, send_waiting, try_to_send

NAME_FILE = "mlflow_run"
FAILURE_TAG = "segbench.failure"
LOCK_TAG = "dvc_lock_md5"
LIVE_AFTER_S = 20.0
"""A shorter training is sent with what follows it: the import of MLflow would be a large part of it."""
RETRY_AFTER_S = 60.0
WAIT_S = 30.0
"""For a process that sends a killed training's journal when the training continues."""


class Live:
    """Sends a training's journal while it runs."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._next_try_s = time.monotonic() + LIVE_AFTER_S
        self._has_warned = False
        self.works = False

    def send(self) -> None:
        """Send what is new. After a failure, of which one line tells, there is no other try for a minute."""
        if time.monotonic() < self._next_try_s:
            return
        what = try_to_send(self._journal)
        self.works = not what
        if what:
            self._next_try_s = time.monotonic() + RETRY_AFTER_S
            if not self._has_warned:
                warn(f"{what}; {REST}")
        self._has_warned = bool(what)


class Run:
    """One MLflow run, open for logging. Logging cannot fail; see `Journal`."""

    def __init__(self, journal: Journal, live: Live | None = None) -> None:
        self._journal = journal
        self._live = live
        self.has_failed = False

    def log_parameters(self, parameters: Mapping[str, Any]) -> None:
        """Log parameters; those of nested sections get dotted names."""
        self._journal.append({"do": "params", "params": {name: str(value) for name, value in flattened(parameters)}})

    def log_metrics(self, metrics: Mapping[str, float | None], *, step: int = 0) -> None:
        """Log metrics in one call, without those that are None, and those that it has for that step already.

        A killed training repeats the epoch after its last checkpoint.
        """
        new = {
            name: float(value)
            for name, value in metrics.items()
            if value is not None and self._journal.is_new(name, step=step)
        }
        if new:
            self._journal.append({"do": "metrics", "time": now_ms(), "step": step, "metrics": new})
        if self._live is not None:
            self._live.send()

    def log_epoch(self, epoch: Mapping[str, float | None], *, step: int) -> None:
        """Log an epoch's row of the learning curves under the names that MLflow shows.

        epoch: the fields of `Epoch` by name. Fields that `CURVES` does not name are in the file of the curves alone.
        """
        curves = {CURVES[name]: value for name, value in epoch.items() if name in CURVES}
        images, seconds = epoch["images_per_second"], epoch["seconds"]
        if images is not None and seconds is not None:
            curves[IMAGES_SEEN] = round(step * images * seconds)
        self.log_metrics(curves, step=step)

    def log_dataset(self, *, name: str, digest: str, folder: Path, num_images: Mapping[str, int]) -> None:
        """Name the images that the run is of. num_images: by split; folder: where they are, from the project's root."""
        self._journal.append(
            {
                "do": "dataset", "name": name, "digest": digest, "source": json.dumps({"uri": folder.as_posix()}),
                "profile": json.dumps({"num_images": sum(num_images.values()), **num_images}),
            }
        )  # fmt: skip

    def log_table(self, name: str, columns: Mapping[str, Sequence[Any]]) -> None:
        """Log a table, which MLflow shows and compares between runs. columns: equally long, by their headings."""
        rows = [list(row) for row in zip(*columns.values(), strict=True)]
        file = f"{name}.json"
        self._journal.add_text(json.dumps({"columns": list(columns), "data": rows}), file)
        self._journal.append({"do": "table", "file": file})

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Add or replace tags."""
        self._journal.append({"do": "tags", "tags": dict(tags)})

    def fail(self, reason: str) -> None:
        """End the run as failed, with a tag that says why."""
        self.set_tags({FAILURE_TAG: reason})
        self.has_failed = True

    def log_file(self, path: Path, folder: str = "") -> None:
        """Store a copy of a file."""
        self._journal.add_file(path, folder)


@contextmanager
def training_run(*, dataset: str, name: str, key: str, checkpoints: Path, above: str = "") -> Iterator[Run]:
    """The run of a training, whose learning curves are sent while it runs.

    A training that was killed continues its run, whose name lies beside its checkpoints. above: the key of the run that
    it is below, if that is not the benchmark's.
    """
    name_file = checkpoints / NAME_FILE
    journal = _former(name_file)
    if journal is None:
        header = _header(dataset, name=name, key=key, name_file=name_file)
        journal = Journal.begin({**header, "parent": above or header["parent"]})
        with suppress(OSError):  # the training cannot write there either, and says so
            checkpoints.mkdir(parents=True, exist_ok=True)
            name_file.write_text(journal.name, encoding="utf-8")
    _set_status(journal, "RUNNING")
    machine_load()  # the next call tells the load since this one
    live = Live(journal)
    with _closing(journal, live) as run:
        yield run
    with suppress(OSError):
        name_file.unlink(missing_ok=True)
    if live.works:
        send_waiting()


def _former(name_file: Path) -> Journal | None:
    """The journal that a killed training has left; None if there is none."""
    try:
        journal = Journal.reopen(name_file.read_text(encoding="utf-8"), wait_s=WAIT_S)
        if journal is not None and journal.header is None:
            journal.remove()
            return None
    except (OSError, UnicodeDecodeError):  # the first start, or a damaged file
        return None
    return journal


def has_begun(checkpoints: Path) -> bool:
    """Whether the run of a training has begun and is not complete."""
    return (checkpoints / NAME_FILE).exists()


@contextmanager
def evaluation_run(*, dataset: str, name: str, key: str) -> Iterator[Run]:
    """The run of the training with that key; a new one if the store has none, as in a clone with pulled weights.

    It waits on the disk until a training or `compare` sends it, since the import of MLflow takes seconds.
    """
    with _closing(Journal.begin(_header(dataset, name=name, key=key, name_file=None))) as run:
        yield run


@contextmanager
def known_run(*, dataset: str, key: str) -> Iterator[Run]:
    """The run of the training with that key; what is logged is dropped if the store has none when it is sent."""
    header = {**_header(dataset, name="", key=key, name_file=None), "joins": True}
    with _closing(Journal.begin(header)) as run:
        yield run


@contextmanager
def benchmark_run(*, dataset: str) -> Iterator[Run]:
    """The run above those of the dataset's models, which the first of these that is sent makes if there is none."""
    with _closing(Journal.begin(_header(dataset, name=_benchmark(), key=_benchmark(), name_file=None))) as run:
        yield run


@contextmanager
def search_run(*, dataset: str, key: str) -> Iterator[Run]:
    """The run above those of a search's trials."""
    header = {**_header(dataset, name=key, key=key, name_file=None), "parent": key}
    with _closing(Journal.begin(header)) as run:
        yield run


def flattened(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """(dotted name, value) of every leaf."""
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield from flattened(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _benchmark() -> str:
    """The name and the key of the run above those of the models: one per dataset, and one per experiment of DVC.

    Every process knows it without asking another, whichever model is trained first.
    """
    experiment = os.environ.get("DVC_EXP_NAME", "").replace("'", "")
    return f"{BENCHMARK} {experiment}".strip()


def _header(dataset: str, *, name: str, key: str, name_file: Path | None) -> dict[str, Any]:
    """name_file: of a training; None for an evaluation, which joins the run of its training."""
    tags = {"mlflow.source.name": "dvc repro", "mlflow.source.git.commit": git_commit(), **_lock_digest()}
    for variable in ("DVC_EXP_NAME", "DVC_EXP_BASELINE_REV"):
        if variable in os.environ:
            tags[variable.lower()] = os.environ[variable]
    return {
        "do": "begin", "time": now_ms(), "dataset": dataset, "name": name, "key": key, "parent": _benchmark(),
        "tags": tags, "name_file": str(name_file) if name_file else None,
    }  # fmt: skip


def _lock_digest() -> dict[str, str]:
    """The MD5 of dvc.lock as the stage found it; nothing before the first stage has ended."""
    try:
        return {LOCK_TAG: hashlib.md5(Path("dvc.lock").read_bytes(), usedforsecurity=False).hexdigest()}
    except OSError:
        return {}


@contextmanager
def _closing(journal: Journal, live: Live | None = None) -> Iterator[Run]:
    run = Run(journal, live)
    try:
        yield run
    except BaseException as error:
        _set_status(journal, "FAILED" if isinstance(error, Exception) else "KILLED")
        if live is not None and live.works:
            live.send()
        raise
    else:
        _set_status(journal, "FAILED" if run.has_failed else "FINISHED")
    finally:
        journal.close()


def _set_status(journal: Journal, status: str) -> None:
    journal.append({"do": "status", "status": status, "time": now_ms()})
