"""A stage ends with the dvc that started it, and by SIGTERM with an exit code that tells it from a finished one."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline.command import run
from pipeline.parent import EVERY_S
from tests.parameters import PROJECT
from tests.pipeline.project import CHECK


def write_every_moment(*, file: Path) -> None:
    """The main of a stage that does not end."""
    while True:
        file.write_text(f"{os.getpid()} {time.time()}")
        time.sleep(0.05)


def stage(file: Path, *, before_imports: str = "pass") -> str:
    imports = f"import pipeline; {before_imports}; from tests.pipeline.test_parent import run, write_every_moment as m"
    code = f"{imports}; run(m)"
    return f'"{sys.executable}" -c "{code}" --file "{file}"'


def be_stage(file: str) -> None:
    """What a fork does."""
    sys.argv = ["stage", "--file", file]
    run(write_every_moment)


def start(command: str, *, file: Path, by_dvc: bool) -> subprocess.Popen[str]:
    """Run a command, and return once the stage in it works."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DVC_")}
    process = subprocess.Popen(
        ["sh", "-c", command], cwd=PROJECT, text=True, stderr=subprocess.PIPE,
        env={**environment, **({"DVC_STAGE": CHECK} if by_dvc else {})},
    )  # fmt: skip
    while not file.exists():
        assert process.poll() is None, process.stderr and process.stderr.read()
        time.sleep(0.05)
    return process


def writes_on(file: Path, *, within_s: float) -> bool:
    """Whether the stage writes after this call, and after the time in which it is to end; it is killed then."""
    time.sleep(within_s)
    before = file.read_text() if file.exists() else None
    for _ in range(50):
        time.sleep(0.1)
        if file.exists() and (now := file.read_text()) != before:
            os.kill(int(now.split()[0]), signal.SIGKILL)
            return True
    return False


@pytest.mark.parametrize("signal_number", [signal.SIGTERM, signal.SIGKILL])
def test_a_stage_ends_when_dvc_is_killed(tmp_path: Path, signal_number: signal.Signals) -> None:
    """Two shells stand for dvc and for the shell in which it runs the stage."""
    file = tmp_path / "file"
    inner = f"{stage(file)}; true".replace("'", "")
    dvc = start(f"sh -c '{inner}'; true", file=file, by_dvc=True)
    dvc.send_signal(signal_number)
    dvc.wait()
    assert not writes_on(file, within_s=8 * EVERY_S)


def test_a_stage_ends_when_dvc_was_killed_while_it_imported(tmp_path: Path) -> None:
    """Torch takes seconds; the stage's parent is another process by then."""
    file, started = tmp_path / "file", tmp_path / "started"
    imports = f"import time; from pathlib import Path; Path('{started}').touch(); time.sleep(2)"
    dvc = start(f"{stage(file, before_imports=imports)}; true", file=started, by_dvc=True)
    dvc.kill()
    dvc.wait()
    assert not writes_on(file, within_s=8 * EVERY_S)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere stages are no forks")
def test_a_stage_in_a_fork_ends_when_what_asked_for_it_is_killed(tmp_path: Path) -> None:
    """The fork server, which is its parent for the system, lives on."""
    file = tmp_path / "file"
    code = (
        "from multiprocessing import get_context; from tests.pipeline.test_parent import be_stage; "
        f"stage = get_context('forkserver').Process(target=be_stage, args=('{file}',)); stage.start(); stage.join()"
    )
    process = start(f'exec "{sys.executable}" -c "{code}"', file=file, by_dvc=True)
    process.kill()
    process.wait()
    assert not writes_on(file, within_s=8 * EVERY_S)


def test_a_stage_that_a_user_started_may_outlive_the_shell(tmp_path: Path) -> None:
    file = tmp_path / "file"
    shell = start(f"{stage(file)}; true", file=file, by_dvc=False)
    shell.kill()
    shell.wait()
    assert writes_on(file, within_s=3 * EVERY_S)


def test_sigterm_is_no_success(tmp_path: Path) -> None:
    file = tmp_path / "file"
    process = start(f"exec {stage(file)}", file=file, by_dvc=False)
    process.terminate()
    assert process.wait(timeout=20) == 128 + signal.SIGTERM
