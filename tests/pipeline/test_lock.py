"""A lock that is cut short comes back, and nothing else is touched."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline import lock
from segbench.errors import InputError
from tests.parameters import PROJECT

BEGIN = "schema: '2.0'\nstages:\n  train@scenes-unet:\n    cmd: python -m pipeline.train\n"
OUTS = """    outs:
    - path: data/weights/scenes/unet
      hash: md5
      md5: 4039563075f1f176c95249f797bc1de5.dir
      size: 22007435
      nfiles: 1
    - path: reports/scenes/models/unet/curves.csv
      hash: md5
      md5: ce4b1c2bffa9c507ae0bf9245586e55d
      size: 1348
"""
WHOLE = BEGIN + OUTS
CUT = [
    "", "schema", "schema: '2.0'\n", "schema: '2.0'\nstages:\n", BEGIN[:60], BEGIN, BEGIN + "    outs:\n",
    WHOLE.partition("curves.csv")[0], WHOLE[: WHOLE.rindex("      md5")], WHOLE[: WHOLE.rindex("      size")],
    WHOLE[:-1], WHOLE + "  predict@scenes-unet:\n", f"{WHOLE}  predict@scenes-unet:\n    cmd: a\n",
]  # fmt: skip

OF_DVC = [Path("dvc.lock"), Path("src/dvc.lock")]


@pytest.fixture(autouse=True)
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write_lock(text: str, path: Path = lock.LOCK) -> None:
    """As a killed dvc left it some time ago."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    earlier_s = time.time() - 3600
    os.utime(path, (earlier_s, earlier_s))


@pytest.mark.parametrize("path", OF_DVC)
@pytest.mark.parametrize("cut", CUT)
def test_a_lock_that_is_cut_short_comes_back(cut: str, path: Path) -> None:
    others = {other: f"{WHOLE}# {other}\n" for other in OF_DVC if other != path}
    for other, text in others.items():
        write_lock(text, other)
    write_lock(WHOLE, path)
    lock.keep()
    write_lock(cut, path)
    told = rf"^{path} is cut short: .* `python -m pipeline.mend` puts the former one"
    with pytest.raises(InputError, match=told):
        lock.keep()
    assert lock.restore() == [path]
    assert path.read_text() == WHOLE
    assert {other: other.read_text() for other in others} == others
    assert not lock.restore()


def test_a_lock_that_another_dvc_is_writing_is_waited_for() -> None:
    write_lock(WHOLE)
    lock.keep()
    lock.LOCK.write_text(WHOLE[:-20])
    writer = threading.Timer(0.3, lock.LOCK.write_text, [WHOLE.replace("1348", "1349")])
    writer.start()
    assert not lock.restore()
    writer.join()
    assert "1349" in lock.LOCK.read_text()


@pytest.mark.parametrize(
    "other",
    [
        WHOLE.replace("1348", "1349"),  # of another commit
        WHOLE.replace("stages:\n", "stages:\n<<<<<<< HEAD\n"),  # DVC tells of it
    ],
)
def test_a_lock_with_its_end_stays_as_it_is(other: str) -> None:
    write_lock(WHOLE)
    lock.keep()
    write_lock(other)
    before = lock.LOCK.stat()
    assert not lock.restore()
    assert (lock.LOCK.read_text(), lock.LOCK.stat().st_mtime_ns) == (other, before.st_mtime_ns)


def test_without_a_copy_or_a_lock_there_is_nothing_to_do() -> None:
    lock.keep()
    assert not lock.restore()
    write_lock("")
    lock.keep()
    assert not lock.restore()
    assert not (lock.COPIES / lock.LOCK).exists()
    write_lock(WHOLE)
    lock.keep()
    lock.LOCK.unlink()  # by the user
    assert not lock.restore()


@pytest.mark.parametrize("cut", ["", "{", '{"a": {"write": ["x"'])
def test_an_rwlock_that_is_cut_short_is_emptied(cut: str) -> None:
    """DVC says that it is corrupt, and does nothing."""
    lock.RWLOCK.parent.mkdir(parents=True)
    lock.RWLOCK.write_text(cut)
    earlier_s = time.time() - 3600
    os.utime(lock.RWLOCK, (earlier_s, earlier_s))
    assert lock.restore_rwlock() == "was cut short, since dvc was killed while it wrote the file"
    assert lock.RWLOCK.read_text() == "{}"
    assert not lock.restore_rwlock()


def note_in_rwlock(*processes: int) -> None:
    """As DVC does for each that reads or writes."""
    lock.RWLOCK.parent.mkdir(parents=True)
    notes = [{"pid": process, "cmd": "repro"} for process in processes]
    lock.RWLOCK.write_text(json.dumps({"read": {"/in": notes}, "write": {"/out": notes[0]}}))


def test_an_rwlock_that_is_in_use_stays() -> None:
    assert not lock.restore_rwlock()
    dvc = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    note_in_rwlock(1, dvc.pid)
    before = lock.RWLOCK.stat().st_mtime_ns
    assert not lock.restore_rwlock() and lock.RWLOCK.stat().st_mtime_ns == before
    dvc.kill()
    dvc.wait()
    assert lock.restore_rwlock()


@pytest.mark.parametrize(
    "now", [lambda: 1, lambda: 2**22 + 1, os.getpid, os.getppid], ids=["PID 1", "nobody", "this process", "its parent"]
)
def test_an_rwlock_that_names_a_killed_dvc_is_emptied(now: Callable[[], int]) -> None:
    """Its number is another process's now, as after the end of a container: DVC would wait for that one."""
    note_in_rwlock(now())
    assert lock.restore_rwlock() == "named a dvc that was killed"
    assert lock.RWLOCK.read_text() == "{}"


@pytest.mark.parametrize("path", OF_DVC)
def test_the_projects_locks_have_their_ends(path: Path) -> None:
    text = (PROJECT / path).read_text()
    assert lock.is_whole(text)
    assert not lock.is_whole(text[: len(text) // 2].rpartition("\n")[0])


@pytest.mark.parametrize(("environment", "copies"), [({"DVC_STAGE": "a"}, True), ({}, False)])
def test_each_stage_of_dvc_keeps_the_lock(environment: dict[str, str], copies: bool) -> None:
    write_lock(WHOLE)
    Path("dvc.yaml").write_text("stages: {a: {cmd: b}}\n")
    code = "from pipeline.command import run\ndef main() -> None: pass\nrun(main)"
    others = {name: value for name, value in os.environ.items() if name != "DVC_STAGE"}
    path = os.pathsep.join([str(PROJECT / "src"), str(PROJECT)])
    subprocess.run([sys.executable, "-c", code], env={**others, **environment, "PYTHONPATH": path}, check=True)
    assert (lock.COPIES / lock.LOCK).exists() == copies
