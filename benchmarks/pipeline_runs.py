"""Runs of the pipeline in a clone of the last commit, with what each stage's process cost."""

import ctypes
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).parent.parent
AVX2_ONLY = {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"}
"""By these variables torch computes as on a processor that has nothing newer."""


@dataclass(frozen=True)
class Process:
    """A process of a stage. parts: CPU seconds by part, see `timed`."""

    module: str
    arguments: list[str]
    seconds: float
    cpu_seconds: float
    peak_mib: float
    parts: Mapping[str, float]

    @property
    def stage(self) -> str:
        """Such as `train`."""
        return self.module.removeprefix("pipeline.")


@dataclass(frozen=True)
class Clone:
    """A clone of the project's last commit, with nothing in DVC's cache, and its own tracking store.

    avx2_only: its stages compute as on a processor without bfloat16.
    """

    folder: Path
    avx2_only: bool = False

    @classmethod
    def make(cls, folder: Path, *, avx2_only: bool = False) -> "Clone":
        """Clone, and put a `sitecustomize` beside it that measures stages."""
        subprocess.run(["git", "clone", "--quiet", str(PROJECT), str(folder)], check=True)
        clone = cls(folder, avx2_only=avx2_only)
        if avx2_only:  # `precision: auto` asks the processor, which still knows bfloat16
            params = folder / "params.yaml"
            text = params.read_text(encoding="utf-8")
            assert text.count("precision: auto") == 1
            params.write_text(text.replace("precision: auto", "precision: float32"), encoding="utf-8")
        clone._measuring.mkdir()
        lines = (
            "import importlib.util",
            "from pathlib import Path",
            f"spec = importlib.util.spec_from_file_location('timed', {str(folder / 'benchmarks' / 'timed.py')!r})",
            "timed = importlib.util.module_from_spec(spec)",
            "spec.loader.exec_module(timed)",
            f"timed.begin(Path({str(clone._log)!r}))",
        )
        (clone._measuring / "sitecustomize.py").write_text("\n".join(lines) + "\n", encoding="utf-8")
        return clone

    @property
    def _measuring(self) -> Path:
        return self.folder.with_name(f"{self.folder.name}_measuring")

    @property
    def _log(self) -> Path:
        return self.folder.with_name(f"{self.folder.name}_log.jsonl")

    @property
    def environment(self) -> dict[str, str]:
        """The clone's own sources, DVC and Python of this environment, and what measures stages."""
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        modules = os.pathsep.join([str(self.folder / "src"), str(self._measuring)])
        kept = {name: value for name, value in os.environ.items() if name != "MLFLOW_TRACKING_URI"}
        limits = AVX2_ONLY if self.avx2_only else {}
        return {**kept, **limits, "PATH": path, "PYTHONPATH": modules}

    def run(self, *command: str) -> float:
        """Seconds of a command that must succeed, in the clone. Its output goes to stderr."""
        start = time.perf_counter()
        subprocess.run(command, cwd=self.folder, check=True, stdout=sys.stderr, env=self.environment)
        return time.perf_counter() - start

    def cpu_seconds(self, *command: str) -> float:
        """Of a command as in `run`, and of all processes that it starts, also of those that outlive it."""
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        adopts_orphans = 36  # PR_SET_CHILD_SUBREAPER
        ctypes.CDLL(None).prctl(adopts_orphans, 1, 0, 0, 0)
        self.run(*command)
        with suppress(ChildProcessError):  # when none is left
            while True:
                os.waitpid(-1, 0)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    def processes(self) -> list[Process]:
        """Of the stages so far, in the order of their ends."""
        if not self._log.exists():
            return []
        lines: list[dict[str, Any]] = [json.loads(line) for line in self._log.read_text(encoding="utf-8").splitlines()]
        return [Process(**line) for line in lines]
