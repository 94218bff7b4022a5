"""DVC, and the stages that it runs, as forks of one process that has imported all that they import.

Python needs seconds of a core to import torch and Lightning, and each model has four stages. `make reproduce` runs them
by this; `dvc repro` starts each stage's own command. On systems other than Linux, where forks are not safe, each
process imports for itself.
"""

import atexit
import importlib
import io
import os
import shlex
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from multiprocessing import forkserver, get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from segbench.parallel import THREAD_LIMITS

STAGES = ("train", "predict", "crf", "evaluate")
LATE = ("dvc.repo", "dvc.scm", "omegaconf", "s3fs", "numba.np.arraymath")
"""What DVC, Lightning and numba import only when they work."""
IMPORTED = ("pipeline.quick_dvc", "segbench.report.tracked", *(f"pipeline.{stage}" for stage in STAGES), *LATE)
SOURCES = ("pipeline", "src/segbench")
ENDED = 128 + signal.SIGTERM


class Forks:
    """Starts DVCs, and the stages that they ask for. threads: of each process.

    Methods may be called by several threads at once.
    """

    def __init__(self, *, threads: int) -> None:
        self._context: Any = get_context("forkserver" if sys.platform == "linux" else "spawn")
        self._environment = dict.fromkeys(THREAD_LIMITS, str(threads))
        self._running: set[BaseProcess] = set()
        self._one_at_a_time = threading.Lock()
        """Processes are started and taken leave of by one thread at a time: starting one asks all whether they run."""
        self._started = time.time()
        before = dict(os.environ)
        os.environ.update(self._environment)  # torch and numba read them when they are imported
        try:
            if sys.platform == "linux":
                self._context.set_forkserver_preload(list(IMPORTED))
                forkserver.ensure_running()
        finally:
            os.environ.clear()
            os.environ.update(before)

    def run_dvc(self, *arguments: str, on_line: Callable[[str], None]) -> int:
        """Run DVC, and return its exit code. on_line gets each line that it and its stages print."""
        lines, output = self._context.Pipe(duplex=False)
        asked, of_dvc = self._context.Pipe()
        reader = threading.Thread(target=_read, args=(lines, on_line))
        reader.start()
        try:
            dvc = self._start(self._context, _be_dvc, arguments, self._environment, of_dvc, output)
            of_dvc.close()
            while (stage := _next(asked)) is not None:
                _send(asked, self._run_stage(stage, output=output, beside=dvc))
            return self._end_of(dvc)
        finally:
            output.close()
            reader.join()

    def terminate(self) -> None:
        """Ask all that runs to end."""
        for process in tuple(self._running):
            process.terminate()

    def _run_stage(
        self, asked: tuple[str, Sequence[str], dict[str, str]], *, output: Connection, beside: BaseProcess
    ) -> int:
        """The exit code of a stage, which ends if the DVC beside it does."""
        context = get_context("spawn") if self._is_edited() else self._context
        stage = self._start(context, _be_stage, *asked, output)
        if beside.sentinel in wait([stage.sentinel, beside.sentinel]):
            stage.terminate()
        return self._end_of(stage)

    def _is_edited(self) -> bool:
        """Whether what was imported may differ from the sources, with whose digests DVC records the result."""
        files = (file for folder in SOURCES for file in Path(folder).rglob("*.py"))
        try:
            return any(file.stat().st_mtime >= self._started for file in files if not file.name.startswith("."))
        except FileNotFoundError:  # a file was removed meanwhile
            return True

    def _start(self, context: Any, target: Callable[..., None], *arguments: Any) -> BaseProcess:
        process: BaseProcess = context.Process(target=target, args=arguments)
        with self._one_at_a_time:
            process.start()
            self._running.add(process)
        return process

    def _end_of(self, process: BaseProcess) -> int:
        wait([process.sentinel])
        with self._one_at_a_time:
            process.join()
            self._running.remove(process)
        assert process.exitcode is not None
        return process.exitcode


def _be_dvc(arguments: Sequence[str], environment: dict[str, str], broker: Connection, output: Connection) -> None:
    """In a new process: DVC, which asks the broker for its stages."""
    from dvc.stage import run

    from pipeline import quick_dvc
    from pipeline.command import leave_out_imports

    leave_out_imports()
    _write_to(output)
    os.environ.update(environment)
    run._run = partial(_ask_for_stage, broker, run._run)
    sys.exit(quick_dvc.main(arguments))


def _be_stage(module: str, arguments: Sequence[str], environment: dict[str, str], output: Connection) -> None:
    """In a new process: a stage, as DVC would have started it."""
    from pipeline.command import run

    atexit.unregister(shutil.rmtree)  # matplotlib's folder where HOME is read-only goes with the process that made it
    _write_to(output)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = [module, *arguments]
    run(importlib.import_module(module).main)


def _ask_for_stage(broker: Connection, run: Callable[..., None], program: str, command: str, **options: Any) -> None:
    """In the place of DVC's own function, which starts a shell. Raises the error that it raises."""
    from dvc.stage.exceptions import StageCmdFailedError

    python, *arguments = shlex.split(command)
    if [python, *arguments[:1]] != ["python", "-m"]:
        run(program, command, **options)
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # as DVC: Ctrl-C is for the stage
    try:
        code = ENDED if not _send(broker, (arguments[1], arguments[2:], options["env"])) else _next(broker)
    finally:
        signal.signal(signal.SIGINT, before)
    if code != 0:
        raise StageCmdFailedError(command, ENDED if code is None else code)


def _send(connection: Connection, what: Any) -> bool:
    """Whether the other side is still there."""
    try:
        connection.send(what)
    except OSError:
        return False
    return True


def _next(connection: Connection) -> Any:
    """What the other side sends; None if it has ended."""
    try:
        return connection.recv()
    except (EOFError, OSError):
        return None


def _read(lines: Connection, on_line: Callable[[str], None]) -> None:
    with lines, open(lines.fileno(), encoding="utf-8", errors="replace", closefd=False) as text:
        for line in text:
            on_line(line)


def _write_to(output: Connection) -> None:
    """Let this process print there: Python, and what writes to the descriptors themselves."""
    for descriptor, name in ((1, "stdout"), (2, "stderr")):
        os.dup2(output.fileno(), descriptor)
        file = io.BufferedWriter(io.FileIO(descriptor, "w", closefd=False))
        stream = io.TextIOWrapper(file, encoding="utf-8", errors="backslashreplace", line_buffering=True)
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)
    output.close()
