"""Faults of the machine and of its user, other than kills: each is planted, meets a run of dvc, and is mended."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import psutil
import yaml

from tests.campaign.ground import ADVICE, Ground, Outcome, Said, remove
from tests.parameters import PROJECT
from tests.pipeline.project import CHECK

TRAINING = "train@scenes-fcn_8s"
WEIGHTS = Path("data/weights/scenes/fcn_8s/seed_0.pt")
DAY_S = 24 * 3600
LARGE_DISK = "4G"
ROOM_BYTES = 2 * 2**20
"""Free on a full disk: enough to begin, too little for a checkpoint."""
LITTLE_ROOM_BYTES = 8 * 2**10
"""Free on a full disk: enough to begin, too little for a few images or a table."""
QUEUE_PATIENCE_S = 300.0
CONTAINER = ("unshare", "--pid", "--fork", "--mount-proc", "--")
"""Runs a program as PID 1 among processes of its own."""


class Impossible(Exception):  # noqa: N818 -- nothing has gone wrong: the machine has no means to plant the fault
    """Why a fault cannot be planted here."""


@dataclass(frozen=True)
class Fault:
    """What happens, where, and the function that makes it happen and returns how the project ended."""

    what: str
    where: str
    happen: Callable[[Ground], Outcome]

    def __str__(self) -> str:
        return f"{self.what}: {self.where}"


def _dies_in_epoch(ground: Ground, number: int, *, signal_number: signal.Signals) -> None:
    """Run the training as if for the first time, and send its group a signal at the beginning of an epoch's line."""
    ground.forget(TRAINING)
    process = ground.start("repro", "--single-item", TRAINING)
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith(f"epoch {number}/"):
            os.killpg(process.pid, signal_number)
            break
    process.communicate()
    ground.settle()


def _two_at_once(ground: Ground) -> Outcome:
    ground.forget(TRAINING)
    logs = ("first", "second")
    both = [(ground.launch("dvc", "repro", log=log), log) for log in logs]
    said = [ground.said(process, log) for process, log in both]
    failed = [each for each in said if each.code]
    if len(failed) == len(said):
        return Outcome((), ("both failed", *failed[0].problems))
    return ground.outcome(failed[0] if failed else None)


def _queue(ground: Ground) -> Outcome:
    """Two experiments by two workers, then the project itself."""
    _put_under_git(ground)
    for clusters in (3, 5):
        told = ground.dvc("exp", "run", "--queue", "-S", f"models.color_clusters.num_clusters={clusters}")
        if told.code:
            return ground.outcome(told)
    started = ground.dvc("queue", "start", "-j", "2")
    end, status = time.monotonic() + QUEUE_PATIENCE_S, started
    while time.monotonic() < end:
        status = ground.dvc("queue", "status")
        if not any(word in status.output for word in ("Queued", "Running")):
            break
        time.sleep(1)
    ground.dvc("queue", "stop")
    outcome = ground.outcome(started)
    succeeded = status.output.count("Success")
    if succeeded == 2:
        return outcome
    logs = "".join(ground.dvc("queue", "logs", name).output for name in _failed_tasks(status))
    return Outcome(outcome.stops, (*outcome.problems, f"{succeeded} of 2 experiments succeeded: {logs[-400:]}"))


def _failed_tasks(status: Said) -> list[str]:
    return [line.split()[0] for line in status.output.splitlines() if line.rstrip().endswith("Failed")]


def _put_under_git(ground: Ground) -> None:
    shutil.copy(PROJECT / ".gitignore", ground.root)
    (ground.root / ".dvc/.gitignore").write_text("/cache\n/tmp\n")
    ground.dvc("config", "core.no_scm", "false")
    for command in (
        "init -q", "config user.name campaign", "config user.email campaign@localhost", "add --all", "commit -q -m all",
    ):  # fmt: skip
        subprocess.run(["git", *command.split()], cwd=ground.root, check=True)
    ground.reference = ground.results()


def _cut_checkpoint(ground: Ground) -> Outcome:
    """The checkpoint of a killed training is cut to half."""
    _dies_in_epoch(ground, 2, signal_number=signal.SIGKILL)
    checkpoints = list((ground.root / "data/checkpoints").glob("*/*.ckpt"))
    if not checkpoints:
        return Outcome((), ("a training that was killed in its second epoch has no checkpoint",))
    for checkpoint in checkpoints:
        _halve(checkpoint)
    return ground.outcome()


def _cut(path: str, *, and_run: str) -> Callable[[Ground], Outcome]:
    """Cut all files below a path to half, and force a stage that reads them."""

    def happen(ground: Ground) -> Outcome:
        for file in _files(ground.root / path):
            _halve(file)
        return ground.outcome(ground.dvc("repro", "--force", "--single-item", and_run))

    return happen


def _cut_in_cache(ground: Ground) -> Outcome:
    """DVC's copy of the weights is cut to half, and the weights are gone: DVC puts the half in place."""
    lock = yaml.safe_load((ground.root / "dvc.lock").read_text())
    (folder,) = (out for out in lock["stages"][TRAINING]["outs"] if out["path"] == WEIGHTS.parent.as_posix())
    cache = ground.root / ".dvc/cache/files/md5"
    digest = folder["md5"]
    (entry,) = yaml.safe_load((cache / digest[:2] / digest[2:]).read_text())
    file = cache / entry["md5"][:2] / entry["md5"][2:]
    file.chmod(0o644)
    _halve(file)
    file.chmod(0o444)
    shutil.rmtree(ground.root / WEIGHTS.parent)
    ground.dvc("repro", TRAINING)
    return ground.outcome(ground.dvc("repro", "--force", "--single-item", "predict@scenes-fcn_8s"))


def _file_at_start(
    name: str, change: Callable[[Path], None], *, run: Sequence[str] = (), is_needed: bool = False
) -> Callable[[Ground], Outcome]:
    """A file is damaged, and dvc repro meets it; if it has stopped and named no program, the file is put back.

    run: arguments of dvc repro. is_needed: the file is put back in any case.
    """

    def happen(ground: Ground) -> Outcome:
        path = ground.root / name
        before = path.read_bytes() if path.exists() else None
        path.parent.mkdir(parents=True, exist_ok=True)
        change(path)
        said = ground.dvc("repro", *run)

        def put_back() -> None:
            if is_needed or (said.code and not ADVICE.search(said.clear_line)):
                _put(path, before)

        return ground.outcome(said, mend=put_back)

    return happen


def _put(path: Path, content: bytes | None) -> None:
    """Make a file what it was before; None: not there."""
    if content is None:
        path.unlink(missing_ok=True)
    else:
        path.write_bytes(content)


def _halve(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def _empty(path: Path) -> None:
    os.truncate(path, 0)


def _plant_half_json(path: Path) -> None:
    path.write_text('{"half": ')


def _files(path: Path) -> Iterator[Path]:
    return (file for file in path.rglob("*") if file.is_file()) if path.is_dir() else iter([path])


def _immutable(folder: str, *, and_run: str) -> Callable[[Ground], Outcome]:
    """Nobody, not even root, may write in a folder, until it is mended."""

    def happen(ground: Ground) -> Outcome:
        path = str(ground.root / folder)
        if shutil.which("chattr") is None or _fails("chattr", "+i", path):
            raise Impossible("chattr +i is not permitted here")
        try:
            said = ground.dvc("repro", "--force", "--single-item", and_run)
        finally:
            subprocess.run(["chattr", "-i", path], check=True)
        return ground.outcome(said)

    return happen


def _fails(*command: str) -> bool:
    return subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False).returncode != 0


@contextmanager
def _small_disk(folder: Path, *, free_bytes: int) -> Iterator[Callable[[], None]]:
    """Put a folder's content on a disk that has little room; gives a function that makes room."""
    aside = folder.with_name(f".{folder.name}.aside")

    def resize(size: str) -> None:
        subprocess.run(["mount", "-o", f"remount,size={size}", str(folder)], check=True)

    folder.rename(aside)
    folder.mkdir()
    try:
        if _fails("mount", "-t", "tmpfs", "-o", f"size={LARGE_DISK}", "tmpfs", str(folder)):
            raise Impossible("mounting a tmpfs is not permitted here")
        try:
            shutil.copytree(aside, folder, symlinks=True, dirs_exist_ok=True)
            shutil.rmtree(aside)
            resize(str(shutil.disk_usage(folder).used + free_bytes))
            yield partial(resize, LARGE_DISK)
        finally:
            if not aside.exists():
                shutil.copytree(folder, aside, symlinks=True)
            subprocess.run(["umount", str(folder)], check=True)
    finally:
        folder.rmdir()
        aside.rename(folder)


def _full_disk(stage: str, folder: str, *, free_bytes: int) -> Callable[[Ground], Outcome]:
    """The disk of a folder is full while a stage runs as if for the first time; then there is room."""

    def happen(ground: Ground) -> Outcome:
        ground.forget(stage)
        with _small_disk(ground.root / folder, free_bytes=free_bytes) as make_room:
            said = ground.dvc("repro", "--single-item", stage)
            outcome = ground.outcome(said, mend=make_room)
        return outcome if said.code else _but(outcome, "the stage did not need the room that was missing")

    return happen


def _full_cache(ground: Ground) -> Outcome:
    """The training ends, but DVC's cache has no room for its weights: they must not be trained a second time."""
    ground.forget(TRAINING)
    cache = ground.root / ".dvc/cache"
    shutil.rmtree(cache / "files")
    with _small_disk(cache, free_bytes=LITTLE_ROOM_BYTES) as make_room:
        said = ground.dvc("repro", "--single-item", TRAINING)
        make_room()
        again = ground.dvc("repro", "--single-item", TRAINING)
        outcome = ground.outcome(said)
    if not (said.code and "epoch 1/" in said.output):
        return _but(outcome, "DVC did not need the room that was missing, or nothing was trained")
    return _but(outcome, "trained a second time") if "epoch " in again.output else outcome


def _but(outcome: Outcome, problem: str) -> Outcome:
    return Outcome(outcome.stops, (*outcome.problems, problem))


def _times(*paths: str, by_s: float) -> Callable[[Ground], Outcome]:
    """The times of files are moved, as by a clock that jumped."""

    def happen(ground: Ground) -> Outcome:
        for path in paths:
            for file in _files(ground.root / path):
                moment = time.time() + by_s
                os.utime(file, (moment, moment))
        said = ground.dvc("repro")
        rerun = [line for line in said.output.splitlines() if line.startswith("Running stage") and CHECK not in line]
        outcome = ground.outcome(said)
        return Outcome(outcome.stops, (*outcome.problems, *(f"ran for nothing: {line}" for line in rerun)))

    return happen


def _edit_with_old_time(ground: Ground) -> Outcome:
    """An edit of code whose file has an old time, as rsync and tar leave it, must still be seen."""
    source = ground.root / "src/segbench/models/fcn.py"
    before, state = source.read_text(), source.stat()
    source.write_text(before.replace("for skip in (16, 8)", "for skip in [16, 8]"))
    os.utime(source, (state.st_atime - DAY_S, state.st_mtime - DAY_S))
    ground.dvc("repro", CHECK)
    status = ground.dvc("status").output
    source.write_text(before)
    os.utime(source, (state.st_atime - DAY_S, state.st_mtime - DAY_S))
    outcome = ground.outcome()
    unseen = () if f"{TRAINING}:" in status else (f"dvc status does not name {TRAINING}",)
    return Outcome(outcome.stops, (*outcome.problems, *unseen))


def _model_fails(ground: Ground) -> Outcome:
    """`make reproduce` must end with a table that says so, and, when that is mended, with the model's scores."""
    reproduce = ("python", "-m", "pipeline.reproduce", "--jobs", "2")
    source = ground.root / "src/segbench/models/fcn.py"
    before = source.read_text()
    source.write_text(before.replace("super().__init__()", "raise RuntimeError('out of order')", 1))
    said = ground.said(ground.launch(*reproduce))
    table = (ground.root / "reports/scenes/benchmark.md").read_text()
    source.write_text(before)
    again = ground.said(ground.launch(*reproduce))

    def remove_what_may_stay() -> None:
        """The page over all datasets, which is not of `dvc repro`, and what the failed training could go on from."""
        remove(ground.root / "reports/index.html")
        for run in (ground.root / "data/checkpoints").glob("*/mlflow_run"):
            remove(ground.root / "data/tracking" / run.read_text())
            remove(run.parent)

    outcome = ground.outcome(again, mend=remove_what_may_stay)
    outcome = Outcome((said.clear_line, *outcome.stops), outcome.problems)
    is_told = "error: fcn_8s on scenes: failed" in said.clear_line and "failed: RuntimeError: out of order" in table
    return outcome if is_told else _but(outcome, f"the failure is not told: {said.clear_line}")


def _parent_killed(ground: Ground) -> Outcome:
    """The shell that started dvc is killed; PID 1 adopts dvc, which may go on."""
    ground.forget(TRAINING)
    shell = ground.launch("sh", "-c", f"dvc repro {TRAINING}; true")
    while ground.stage_process() is None and shell.poll() is None:
        time.sleep(0.05)
    shell.kill()
    shell.wait()
    _wait_for_all(ground)
    return ground.outcome()


def _starts_in_container(ground: Ground) -> tuple[subprocess.Popen[bytes], psutil.Process]:
    """A dvc that is PID 1, as in a container, and the training that it has started."""
    if subprocess.run([*CONTAINER, "true"], capture_output=True, check=False).returncode:
        raise Impossible("unshare --pid is not permitted")
    ground.forget(TRAINING)
    container = ground.launch(*CONTAINER, "dvc", "repro", "--single-item", TRAINING)
    while (stage := ground.stage_process()) is None:
        if container.poll() is not None:
            raise RuntimeError(ground.said(container).output)
        time.sleep(0.05)
    return container, stage


def _stage_killed_in_container(ground: Ground) -> Outcome:
    container, stage = _starts_in_container(ground)
    stage.kill()
    return ground.outcome(ground.said(container))


def _container_stopped(ground: Ground) -> Outcome:
    """As `docker stop` does: PID 1 is asked to end, which by default it does not, and is then killed with all."""
    container, _ = _starts_in_container(ground)
    (dvc,) = psutil.Process(container.pid).children()
    dvc.terminate()
    psutil.wait_procs([dvc], timeout=3)
    dvc.kill()
    container.wait()
    return ground.outcome()


def _terminal_closed(ground: Ground) -> Outcome:
    """All get SIGHUP in the second epoch."""
    _dies_in_epoch(ground, 2, signal_number=signal.SIGHUP)
    return ground.outcome()


def _stage_frozen_then_killed(ground: Ground) -> Outcome:
    """Dvc is killed while the stage is stopped, as by Ctrl-Z; the stage then wakes up."""
    ground.forget(TRAINING)
    process = ground.launch("dvc", "repro", "--single-item", TRAINING)
    while (stage := ground.stage_process()) is None and process.poll() is None:
        time.sleep(0.05)
    if stage is not None:
        stage.send_signal(signal.SIGSTOP)
        process.kill()
        process.wait()
        stage.send_signal(signal.SIGCONT)
    return ground.outcome()


def _wait_for_all(ground: Ground) -> None:
    psutil.wait_procs(ground.processes())
    while ground.processes():  # those that were started meanwhile
        time.sleep(0.1)


def _half_written(*paths: str) -> Callable[[Ground], Outcome]:
    """Temporary files are there, as a process that was killed while it wrote leaves them."""

    def happen(ground: Ground) -> Outcome:
        ended = subprocess.Popen(["true"])
        ended.wait()
        for path in paths:
            file = ground.root / path.format(process=ended.pid)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(b"half")
        return ground.outcome(ground.dvc("repro", *EVALUATE, TRAINING))

    return happen


MODEL = "reports/scenes/models/fcn_8s"
EVALUATE = ("--force", "--single-item", "evaluate@scenes-fcn_8s")
FAULTS = [
    Fault("two `dvc repro` at once", TRAINING, _two_at_once),
    Fault("two experiments, `dvc queue start -j 2`", "all stages", _queue),
    Fault("cut to half", "the checkpoint of a killed training", _cut_checkpoint),
    Fault("cut to half", "packed samples, then a training", _cut("data/augmented/scenes/images.npy", and_run=TRAINING)),
    Fault(
        "cut to half", "the samples' recipe, then a training",
        _cut("data/augmented/scenes/recipe.json", and_run=TRAINING),
    ),
    Fault("cut to half", "weights, then `predict`", _cut(WEIGHTS.as_posix(), and_run="predict@scenes-fcn_8s")),
    Fault("cut to half", "counts.npz, then `compare`", _cut(f"{MODEL}/counts.npz", and_run="compare@scenes")),
    Fault("cut to half", "weights in DVC's cache, weights removed, then `predict`", _cut_in_cache),
    Fault("empty", "dvc.lock", _file_at_start("dvc.lock", _empty)),
    Fault("cut to half", "dvc.lock", _file_at_start("dvc.lock", _halve)),
    Fault("removed", "dvc.lock", _file_at_start("dvc.lock", Path.unlink)),
    Fault("empty", "src/dvc.lock", _file_at_start("src/dvc.lock", _empty)),
    Fault("cut to half", "src/dvc.lock", _file_at_start("src/dvc.lock", _halve)),
    Fault("empty", "params.yaml", _file_at_start("params.yaml", _empty)),
    Fault("cut to half", "params.yaml", _file_at_start("params.yaml", _halve)),
    Fault("half written", "DVC's list of locks, .dvc/tmp/rwlock", _file_at_start(".dvc/tmp/rwlock", _plant_half_json)),
    Fault("empty", "mlflow.db, `evaluate`", _file_at_start("mlflow.db", _empty, run=EVALUATE, is_needed=True)),
    Fault("cut to half", "mlflow.db, `evaluate`", _file_at_start("mlflow.db", _halve, run=EVALUATE, is_needed=True)),
    Fault("read only", f"{MODEL}/", _immutable(MODEL, and_run="evaluate@scenes-fcn_8s")),
    Fault("read only", "data/weights/scenes/fcn_8s/", _immutable(WEIGHTS.parent.as_posix(), and_run=TRAINING)),
    Fault("read only", "data/checkpoints/", _immutable("data/checkpoints", and_run=TRAINING)),
    Fault("disk full", "data/, in a training", _full_disk(TRAINING, "data", free_bytes=ROOM_BYTES)),
    *(
        Fault("disk full", f"{folder}/, {stage}", _full_disk(stage, folder, free_bytes=LITTLE_ROOM_BYTES))
        for stage, folder in (
            ("predict@scenes-fcn_8s", "data"), ("crf@scenes-fcn_8s", "data"), ("compare@scenes", "reports"),
        )
    ),
    Fault("disk full", "DVC's cache, after a training", _full_cache),
    Fault("clock jumps: files of tomorrow", "all sources", _times("src", "pipeline", by_s=DAY_S)),
    Fault("clock jumps: files of last year", "params.yaml", _times("params.yaml", by_s=-365 * DAY_S)),
    Fault("clock jumps: files of tomorrow", "data/ and reports/", _times("data", "reports", by_s=DAY_S)),
    Fault("edited, with yesterday's time", "a model's source", _edit_with_old_time),
    Fault("raises an error, `make reproduce`", "a model's source", _model_fails),
    Fault("killed, so that PID 1 adopts dvc", "the shell that started dvc", _parent_killed),
    Fault("killed, with dvc at PID 1", TRAINING, _stage_killed_in_container),
    Fault("container stopped: dvc at PID 1", "in a training", _container_stopped),
    Fault("terminal closed (SIGHUP)", TRAINING, _terminal_closed),
    Fault("stopped (Ctrl-Z), dvc killed, continued", TRAINING, _stage_frozen_then_killed),
    Fault(
        "temporary files of a killed process", "reports/ and data/",
        _half_written(
            f"{MODEL}/.scores.json.{{process}}.partial",
            "data/weights/scenes/.fcn_8s.{process}.partial",
            "data/records/scenes/fcn_8s/.crf_steps.png.{process}.partial",  # of a stage that does not run again
        ),
    ),
]  # fmt: skip
