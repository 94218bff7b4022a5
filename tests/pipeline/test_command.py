"""How a stage ends: what it wrote and what libraries do at the end is not lost, and nothing is dismantled."""

import errno
import os
import subprocess
import sys

import pytest

from tests.parameters import PROJECT

CODE = """
import atexit
from pipeline.command import run
from segbench.errors import InputError

class Held:
    def __del__(self):
        print("dismantled", flush=True)

held = Held()
atexit.register(print, "at the end")

def main(*, mistake: str) -> None:
    print("written")
    if mistake:
        raise InputError(mistake)

run(main)
"""


def run_stage(mistake: str, *, encoding: str = "utf-8", code: str = CODE) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code, "--mistake", mistake]
    buffered = {**os.environ, "PYTHONUNBUFFERED": "", "PYTHONIOENCODING": encoding}
    return subprocess.run(command, cwd=PROJECT, env=buffered, capture_output=True, text=True, check=False)


def test_a_stage_ends_at_once_and_loses_nothing() -> None:
    ended = run_stage("")
    assert ended.returncode == 0
    assert ended.stdout.split("\n") == ["written", "at the end", ""]


def test_python_searches_for_garbage_as_always_but_not_in_what_was_imported() -> None:
    """A search through Lightning and torch takes half a second."""
    asks = CODE.replace('print("written")', "print(gc.get_threshold() == usual, gc.get_freeze_count() > 10_000)")
    ended = run_stage("", code=f"import gc\nusual = gc.get_threshold()\n{asks}")
    assert ended.stdout.splitlines()[0] == "True True", ended.stderr


def test_a_mistake_is_one_line_and_exit_code_1() -> None:
    ended = run_stage("x is 3; it must be 4")
    assert (ended.returncode, ended.stderr) == (1, "error: x is 3; it must be 4\n")


def test_what_a_terminal_cannot_show_does_not_end_a_stage() -> None:
    ended = run_stage("", encoding="ascii", code=CODE.replace("written", "Bäume: 58.0 ± 1"))
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.split("\n") == [r"B\xe4ume: 58.0 \xb1 1", "at the end", ""]
    assert run_stage("Bäume", encoding="ascii").stderr == "error: B\\xe4ume\n"


def test_a_program_that_imports_dvc_prints_into_a_pipe() -> None:
    """DVC puts other streams in the place of stdout and stderr where they are no terminal."""
    ended = run_stage("", encoding="ascii", code=f"import dvc.api\n{CODE.replace('written', 'Bäume')}")
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.split("\n") == [r"B\xe4ume", "at the end", ""]


def test_a_full_disk_is_one_line() -> None:
    full = CODE.replace('print("written")', "open('/dev/full', 'wb', buffering=0).write(b'x')")
    ended = run_stage("", code=full)
    assert ended.returncode == 1
    assert ended.stderr == "error: a file cannot be written: No space left on device; free some disk, run again\n"


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM, errno.EROFS])
def test_a_file_that_may_not_be_written_is_one_line(number: int) -> None:
    refused = CODE.replace('print("written")', f"raise OSError({number}, 'no', 'data/weights')")
    ended = run_stage("", code=refused)
    assert ended.returncode == 1
    told = "error: data/weights cannot be written: no; let it and its folder be written to, run again\n"
    assert ended.stderr == told


@pytest.mark.parametrize(
    ("raising", "told"),
    [
        ("import torch; torch.empty(2**60, dtype=torch.uint8)", "can't allocate memory: you tried to allocate"),
        (
            "import torch; raise torch.OutOfMemoryError('CUDA out of memory. Tried to allocate 2.00 GiB.\\nMore')",
            "CUDA",
        ),
        ("import numpy; numpy.empty(2**60, numpy.uint8)", "Unable to allocate 1.00 EiB"),
        ("raise MemoryError", "no more is granted"),
    ],
)
def test_full_memory_is_one_line_that_says_what_needs_less(raising: str, told: str) -> None:
    ended = run_stage("", code=CODE.replace('print("written")', raising))
    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    assert line.startswith("error: memory is full (") and told in line
    assert "a smaller train.batch_size or input.crop_px" in line


def test_other_errors_of_the_code_keep_their_traceback() -> None:
    ended = run_stage("", code=CODE.replace('print("written")', "raise RuntimeError('out of order')"))
    assert ended.returncode == 1 and "Traceback" in ended.stderr and "memory" not in ended.stderr
