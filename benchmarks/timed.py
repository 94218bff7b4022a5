"""Runs a module as `python -m` does, and appends one line of JSON with what it cost: CPU seconds by part, and memory.

`python -P timed.py LOG -m MODULE ARGUMENTS` is a script, not a module: `python` of a folder at the head of PATH calls
it, so that DVC's commands are measured as they are, with no word of it in the stages. Parts are functions, which are
wrapped once their module has been imported; a part's time is without that of parts within it. Only the main thread is
timed.
"""

import atexit
import builtins
import functools
import importlib.abc
import importlib.machinery
import importlib.util
import json
import os
import resource
import runpy
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

PARTS = {
    "segbench.training.fit": {"fit": "training"},
    "lightning.pytorch.loops.evaluation_loop": {"_EvaluationLoop.run": "validation"},
    "lightning.pytorch.callbacks.model_checkpoint": {"ModelCheckpoint._save_checkpoint": "checkpoints"},
    "segbench.prediction.predictor": {"Predictor.label_map": "inference", "Predictor.probabilities": "inference"},
    "segbench.prediction.costs": {"compare_forms": "sliding window's forms"},
    "segbench.crf.search": {"tune": "CRF search"},
    "segbench.report.drawing.crf": {"write_search": "figures", "write_steps": "figures"},
    "segbench.tracking.runs": {
        "Run.log_parameters": "MLflow", "Run.log_metrics": "MLflow", "Run.log_file": "MLflow", "Run.set_tags": "MLflow",
    },
    "segbench.tracking.waiting": {"send_waiting": "MLflow", "try_to_send": "MLflow"},
}  # fmt: skip
"""The name of the part that a function is, by module and function."""

seconds: dict[str, float] = {}
"""By part."""
running: list[str] = ["the rest"]
switched_at = time.process_time()


def switch(*, to: str | None) -> None:
    """Book the time since the last switch; begin a part, or end one with None."""
    global switched_at
    now = time.process_time()
    seconds[running[-1]] = seconds.get(running[-1], 0.0) + now - switched_at
    switched_at = now
    if to is None:
        running.pop()
    else:
        running.append(to)


def wrapped(function: Callable[..., Any], part: str) -> Callable[..., Any]:
    """The function; its time in the main thread is the part's."""

    @functools.wraps(function)
    def wrapper(*arguments: Any, **named: Any) -> Any:
        if threading.current_thread() is not threading.main_thread():
            return function(*arguments, **named)
        switch(to=part)
        try:
            return function(*arguments, **named)
        finally:
            switch(to=None)

    return wrapper


class Wrapping(importlib.abc.MetaPathFinder):
    """Finds the modules of PARTS as others do, and wraps their functions behind the import."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """The module's, or None for modules without parts."""
        if fullname not in PARTS:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is None or spec.loader is None:
            return spec
        execute = spec.loader.exec_module

        def execute_and_wrap(module: ModuleType) -> None:
            execute(module)
            for name, part in PARTS[fullname].items():
                *owners, last = name.split(".")
                owner: Any = functools.reduce(getattr, owners, module)
                setattr(owner, last, wrapped(getattr(owner, last), part))

        spec.loader.exec_module = execute_and_wrap  # type: ignore[method-assign]
        return spec


def own_peak_mib() -> float:
    """Of this process alone: getrusage would tell the peak of the process that started it, if that is higher."""
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return (
        next(
            int(line.split()[1])
            for line in status.read_text(encoding="utf-8").splitlines()
            if line.startswith("VmHWM:")
        )
        / 1024
    )


def write(log: Path, command: Sequence[str], started: float) -> None:
    """Append the line."""
    switch(to=None)
    usages = [resource.getrusage(of) for of in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    line = {
        "module": command[0],
        "arguments": command[1:],
        "seconds": time.perf_counter() - started,
        "cpu_seconds": sum(usage.ru_utime + usage.ru_stime for usage in usages),
        "peak_mib": max(own_peak_mib(), usages[1].ru_maxrss / 1024),
        "parts": seconds,
    }
    with log.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


def main() -> None:
    """Run the module."""
    started = time.perf_counter()
    log, flag, module, *arguments = sys.argv[1:]
    assert flag == "-m"
    process = os.getpid()
    atexit.register(lambda: write(Path(log), [module, *arguments], started) if os.getpid() == process else None)
    sys.meta_path.insert(0, Wrapping())
    builtins.__import__ = wrapped(builtins.__import__, "imports")
    sys.path.insert(0, str(Path.cwd()))
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
