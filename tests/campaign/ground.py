"""A copy of the project with the results of an undisturbed run: whatever is done to it, it must end with the same.

The results are all files that the pipeline leaves in data/ and reports/. They are compared byte by byte, without what
was measured while they were made: times, rates and memory. Of pages that say such numbers in their text, only the
existence is compared; every other number on them is in a file that is compared.
"""

import csv
import hashlib
import io
import json
import os
import re
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import yaml

from pipeline.lock import LOCKS
from segbench.parallel import THREAD_LIMITS
from tests.pipeline.project import CHECK, Project

MEASURED = re.compile(r"(_ms|seconds|_per_second|memory_mib)$|^is_on_front$")
"""Columns and keys of what differs from run to run; whether a model is on the Pareto front follows from its latency."""
MEASURED_IN_TEXT = ("benchmark.md", "benchmark.tex", "index.html")
NO_RESULTS = re.compile(
    r"(^|/)(__pycache__|\.git)/|^(\.dvc/(cache|tmp)|mlartifacts|data/tracking)/|^\.dvc/\.gitignore$|^mlflow\.db|^data/(.*/)?[^/]*\.lock$"
)
ADVICE = re.compile(r"`(python -m pipeline\.\w+)`")
"""How a clear line names a program that mends what it is about."""
DAMAGED = r"dvc\.lock' (validation failed|is invalid)|RWLock-file|is busy, it is being blocked by"
"""What DVC says of its own files after it was killed; the guide says what mends them."""
PATIENCE_S = 90.0
"""How long processes may take to end when what started them has been killed."""


@dataclass(frozen=True)
class Said:
    """What a program said, and its exit code."""

    output: str
    code: int

    @property
    def clear_line(self) -> str:
        """The line that says what is wrong: the stage's own if there is one, else DVC's; empty without one."""
        lines = self.output.splitlines()
        for pattern in ("^error: ", "^ERROR: ", DAMAGED):
            found = [line for line in lines if re.search(pattern, line)]
            if found:
                return found[0]
        return ""

    @property
    def problems(self) -> list[str]:
        """How it did not say clearly why it stopped; empty if it did, or did not stop."""
        if not self.code:
            return []
        found = []
        if "Traceback (most recent call last)" in self.output:
            said = [line for line in self.output.splitlines() if re.match(r"[\w.]+(Error|Exception|Interrupt)\b", line)]
            found.append(f"a traceback: {said[-1] if said else self.output[-300:]}")
        if not self.clear_line:
            found.append(f"exit code {self.code} without a line `error: ...`: {self.output[-300:]}")
        return found


@dataclass(frozen=True)
class Outcome:
    """How a disturbed project ended. stops: clear lines on the way; problems: all that should not be."""

    stops: tuple[str, ...]
    problems: tuple[str, ...]


class Ground(Project):
    """A project to disturb. goals: the stages that make the results, all if there are none."""

    def __init__(self, root: Path, *, goals: Sequence[str] = ()) -> None:
        super().__init__(root)
        self.goals = goals
        self.environment |= {**dict.fromkeys(THREAD_LIMITS, "1"), "PYTHONPATH": str(root / "src")}
        self.seconds: dict[str, float] = {}
        """How long each stage takes, with what DVC does after its command."""

    def make_reference(self) -> None:
        """Run the pipeline undisturbed, and remember its results and times. RuntimeError if it fails."""
        process = self.start("repro", *self.goals)
        assert process.stdout is not None
        lines, begun = [], {}
        for line in process.stdout:
            lines.append(line)
            if found := re.match(r"Running stage '(.*)'", line):
                begun[found[1]] = time.monotonic()
        if process.wait():
            raise RuntimeError("".join(lines))
        ends = [*list(begun.values())[1:], time.monotonic()]
        self.seconds = {stage: end - start for (stage, start), end in zip(begun.items(), ends, strict=True)}
        self.send_runs()
        self._undisturbed = self.reference = self.results()
        self._pristine = self.root.with_name(f"{self.root.name}_pristine")
        shutil.copytree(self.root, self._pristine, symlinks=True)

    def reset(self) -> None:
        """Put everything back as it was after the undisturbed run."""
        shutil.rmtree(self.root)
        shutil.copytree(self._pristine, self.root, symlinks=True)
        self.reference = self._undisturbed

    def launch(self, *command: str, log: str = "log") -> subprocess.Popen[bytes]:
        """Start a program as the head of a new group of processes; `said` has its output."""
        with self._log(log).open("wb") as file:
            return subprocess.Popen(
                command, cwd=self.root, env=self.environment, start_new_session=True,
                stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT,
            )  # fmt: skip

    def said(self, process: subprocess.Popen[bytes], log: str = "log") -> Said:
        """Wait for a launched program's end."""
        code = process.wait()
        output = self._log(log).read_text(errors="replace")
        return Said(output.replace(f"{self.root}/", ""), code)  # a report has no path of a machine

    def dvc(self, *arguments: str) -> Said:
        """Run DVC to its end."""
        return self.said(self.launch("dvc", *arguments))

    def _log(self, name: str) -> Path:
        return self.root.with_name(f"{self.root.name}.{name}")

    def forget(self, stage: str) -> None:
        """As if a stage had never been run: without its outputs, its entry in its lock, and DVC's memory of runs."""
        file, _, name = stage.rpartition(":")
        lock = (self.root / (file or "dvc.yaml")).with_suffix(".lock")
        text = lock.read_text()
        found = re.search(rf"^  {re.escape(name)}:\n(?:    .*\n)+", text, re.MULTILINE)
        assert found is not None, stage
        for output in yaml.safe_load(found[0])[name]["outs"]:
            remove(self.root / output["path"])
        # As text: PyYAML writes digests such as 37725103326036e7 without quotes, which DVC then takes for numbers.
        others = text[: found.start()] + text[found.end() :]
        if others.endswith("stages:\n"):
            lock.unlink()
        else:
            lock.write_text(others)
        shutil.rmtree(self.root / ".dvc/cache/runs", ignore_errors=True)

    def processes(self) -> list[psutil.Process]:
        """All that run in the project's folder, the oldest first."""
        found = []
        for process in psutil.process_iter():
            try:
                is_inside = Path(process.cwd()).is_relative_to(self.root)
                if is_inside and process.status() != psutil.STATUS_ZOMBIE:
                    found.append((process.create_time(), process.pid, process))
            except psutil.Error:  # it has ended meanwhile
                continue
        return [process for *_, process in sorted(found, key=lambda entry: entry[:2])]

    def stage_process(self) -> psutil.Process | None:
        """The process of a stage that runs now."""
        for process in self.processes():
            try:
                command = process.cmdline()
            except psutil.Error:
                continue
            if "-m" in command and any(argument.startswith("pipeline.") for argument in command):
                return process
        return None

    def settle(self) -> list[str]:
        """Wait until no process is left; kill those that do not end, and say which."""
        end = time.monotonic() + PATIENCE_S
        while self.processes() and time.monotonic() < end:
            time.sleep(0.1)
        left = []
        for process in self.processes():
            try:
                left.append(f"a process was left: {' '.join(process.cmdline())[:120]}")
                process.kill()
            except psutil.Error:
                continue
        return left

    def outcome(self, said: Said | None = None, *, mend: Callable[[], None] = lambda: None) -> Outcome:
        """Let `dvc repro` end what was disturbed, and compare with the undisturbed run.

        said: by a run that was free to go on or to stop, None for one that was killed. mend: what the line asks for.
        """
        stops, problems = [], self.settle()
        if said is not None and said.code:
            stops.append(said.clear_line)
            problems += said.problems
            self._follow(said)
        mend()
        last = self.dvc("repro", *self.goals)
        if last.code:
            stops.append(last.clear_line)
            problems += last.problems
            self._follow(last)
            last = self.dvc("repro", *self.goals)
        if last.code:
            problems.append(f"dvc repro fails again and again: {last.clear_line}")
        self.send_runs()
        problems += [*self.settle(), *self.differences(), *self.running()]
        return Outcome(tuple(filter(None, stops)), tuple(problems))

    def _follow(self, said: Said) -> None:
        """Do what the clear line asks for, if it names a program, or what the guide says of DVC's own files."""
        if advice := ADVICE.search(said.clear_line):
            self.said(self.launch(*advice[1].split()))
        elif re.search(DAMAGED, said.clear_line):
            self.said(self.launch("python", "-m", "pipeline.mend"))

    def send_runs(self) -> None:
        """Let MLflow know all runs, as the next `dvc repro` would, which also removes what is of no use any more."""
        self.said(self.launch("dvc", "repro", CHECK))

    def results(self) -> dict[str, str]:
        """The digest of each file without what was measured, by path; DVC's and MLflow's own files are left out."""
        found = {}
        for folder, _, names in os.walk(self.root):
            for name in names:
                path = Path(folder, name)
                where = path.relative_to(self.root).as_posix()
                if not NO_RESULTS.search(where) and Path(where) not in LOCKS:
                    found[where] = hashlib.sha256(without_measured(path)).hexdigest()
        return found

    def differences(self) -> list[str]:
        """What is missing, left over, or not as after the undisturbed run."""
        now = self.results()
        return [
            f"{where}: {'left over' if where not in self.reference else 'missing' if where not in now else 'differs'}"
            for where in sorted(now.keys() | self.reference.keys())
            if now.get(where) != self.reference.get(where)
        ]

    def running(self) -> list[str]:
        """MLflow runs that are not told from such that go on, and runs that MLflow does not know."""
        try:
            with closing(sqlite3.connect(f"file:{self.root / 'mlflow.db'}?mode=ro", uri=True)) as store:
                rows = store.execute("SELECT name FROM runs WHERE status = 'RUNNING'").fetchall()
        except sqlite3.Error as error:
            return [f"mlflow.db cannot be read: {error}"]
        waiting = sorted(path.name for path in (self.root / "data/tracking").glob("*/"))
        return [
            *(f"the MLflow run {name} is left as running" for (name,) in rows),
            *(f"a run waits to be sent to MLflow: {name}" for name in waiting),
        ]


def without_measured(path: Path) -> bytes:
    """A file's content without times, rates and memory."""
    if path.name in MEASURED_IN_TEXT:
        return b""
    content = path.read_bytes()
    try:
        if path.suffix == ".json":
            return json.dumps(_pruned(json.loads(content))).encode()
        if path.suffix == ".csv":
            header, *rows = csv.reader(io.StringIO(content.decode(), newline=""))
            kept = [place for place, name in enumerate(header) if not MEASURED.search(name)]
            return "\n".join(str([row[place] for place in kept]) for row in (header, *rows)).encode()
    except (ValueError, IndexError):  # half a file
        pass
    return content


def _pruned(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {name: _pruned(value) for name, value in tree.items() if not MEASURED.search(name)}
    return [_pruned(value) for value in tree] if isinstance(tree, list) else tree


def remove(path: Path) -> None:
    """Remove a file or folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
