"""Appends a line of JSON for each stage's process, with what it cost: CPU seconds by part, and memory.

`sitecustomize` of a folder on PYTHONPATH calls `begin`, so that stages are measured as they are, with no word of it in
them: also those that are forks, which begin when they are forked. Parts are functions, which are wrapped once their
module has been imported; a part's time is without that of parts within it. Only the main thread is timed.
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
running: list[str] = []
started = switched_at = 0.0
first_process = os.getpid()


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


def restart() -> None:
    """In a new process: nothing was spent yet."""
    global started, switched_at
    started, switched_at = time.perf_counter(), time.process_time()
    seconds.clear()
    running[:] = ["the rest"]


def is_fork_server() -> bool:
    """Whether this process imports for the stages that are its forks."""
    return os.getpid() == first_process and "multiprocessing.forkserver" in " ".join(sys.orig_argv)


def module_of_process() -> str | None:
    """Of a stage, by its first argument: its file, or in a fork its name; None for what is no process of a stage."""
    if is_fork_server():
        return "pipeline.preloaded"
    *folder, name = sys.argv[0].removesuffix(".py").replace(os.sep, ".").split(".")
    is_stage = "DVC_STAGE" in os.environ and folder[-1:] == ["pipeline"]
    return f"pipeline.{name}" if is_stage and "--multiprocessing-fork" not in sys.orig_argv else None


def write(log: Path) -> None:
    """Append the line, if this is a process of a stage."""
    module = module_of_process()
    if module is None:
        return
    switch(to=None)
    of_self, of_children = (resource.getrusage(of) for of in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    usages = [of_self] if is_fork_server() else [of_self, of_children]  # its children are stages, with their own lines
    line = {
        "module": module,
        "arguments": sys.argv[1:],
        "seconds": time.perf_counter() - started,
        "cpu_seconds": sum(usage.ru_utime + usage.ru_stime for usage in usages),
        "peak_mib": max([own_peak_mib(), *(usage.ru_maxrss / 1024 for usage in usages[1:])]),
        "parts": seconds,
    }
    with log.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


def begin(log: Path) -> None:
    """Measure this process, and those that are forked from it."""
    restart()
    os.register_at_fork(after_in_child=restart)
    atexit.register(write, log)
    sys.meta_path.insert(0, Wrapping())
    find = builtins.__import__
    load = wrapped(find, "imports")

    def load_or_find(name: str, *rest: Any, **named: Any) -> Any:
        """torch has statements that import in functions of every training step: what is loaded is not timed anew."""
        level = rest[3] if len(rest) > 3 else 0
        whole_name = importlib.util.resolve_name("." * level + name, rest[0]["__package__"]) if level else name
        return (find if whole_name in sys.modules else load)(name, *rest, **named)

    builtins.__import__ = load_or_find
