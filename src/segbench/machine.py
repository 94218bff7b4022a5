"""The machine, package versions and commit that results report as their origin."""

import os
import platform
import resource
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

from segbench.parallel import num_cores

REPORTED_PACKAGES = ("segbench", "torch", "timm", "lightning", "albumentations", "numpy")
RESULTS_DEPEND_ON = ("src", "pipeline", "params.yaml", "dvc.yaml", ":(exclude)src/dvc.lock")
"""As git's pathspecs."""


VECTORS = {
    "AMX": ("amx_tile", "amx_bf16"),
    "AVX-512 bf16": ("avx512_bf16",),
    "AVX-512": ("avx512_f",),
    "AVX2": ("avx2",),
}
"""Kinds of vector arithmetic, the fastest first, and torch's names for what a processor must have for each."""


def describe_machine() -> str:
    """Processor, its vector arithmetic, cores, memory, and torch's GPU if there is one.

    Such as `AMD EPYC (AVX2), 2 cores (1 used), 23 GiB`.
    """
    import torch

    memory_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    gpu = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    vectors = vector_kind(torch.cpu.get_capabilities())
    processor = f"{_processor()} ({vectors})" if vectors else _processor()
    used = "" if num_cores() == os.cpu_count() else f" ({num_cores()} used)"
    return f"{processor}, {os.cpu_count()} cores{used}, {memory_gib:.0f} GiB{gpu}"


def vector_kind(capabilities: Mapping[str, object]) -> str:
    """The fastest of VECTORS that a processor has; empty if none. capabilities: as torch.cpu knows them."""
    return next((kind for kind, needs in VECTORS.items() if all(capabilities.get(name) for name in needs)), "")


def device_name(device: str) -> str:
    """The name of the GPU if `device` is cuda, else of the processor."""
    import torch

    return torch.cuda.get_device_name() if device == "cuda" else _processor()


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def peak_memory_mib() -> float:
    """The most memory that this process has held so far: on the GPU if it uses one, else in RAM.

    Without pages of files, such as libraries: processes share them, and a fork of another has none of them at first.
    """
    import torch

    if torch.cuda.is_available() and torch.cuda.max_memory_allocated():
        return torch.cuda.max_memory_allocated() / 2**20
    if kib := _memory_kib():  # getrusage would tell the peak of the process that started this one, if that is higher
        return (kib["VmHWM"] - kib["RssFile"] - kib["RssShmem"]) / 2**10
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10


def held_memory_mib() -> float:
    """The RAM that this process holds now; where the system does not say, the most that it has held so far."""
    kib = _memory_kib()
    return kib["RssAnon"] / 2**10 if kib else peak_memory_mib()


def _memory_kib() -> dict[str, int]:
    """What Linux says of this process; nothing elsewhere."""
    status = Path("/proc/self/status")
    if not status.exists():
        return {}
    lines = (line.partition(":") for line in status.read_text(encoding="utf-8").splitlines())
    return {name: int(value.split()[0]) for name, _, value in lines if name.startswith(("Rss", "VmHWM"))}


def added_memory_mib(*, held_mib: float) -> float:
    """The most memory that was needed beyond what the process held before, such as Python and its imports.

    held_mib: as `held_memory_mib` said before. On a GPU, all that torch has allocated there, where no import counts.
    """
    import torch

    if torch.cuda.is_available() and torch.cuda.max_memory_allocated():
        return peak_memory_mib()
    return max(0.0, peak_memory_mib() - held_mib)


def package_versions() -> dict[str, str]:
    """Versions of Python and of REPORTED_PACKAGES, by name."""
    return {"python": platform.python_version(), **{name: version(name) for name in REPORTED_PACKAGES}}


def git_commit() -> str:
    """The commit of the current folder; `-dirty` is appended if code or parameters have changed since.

    Changes in data and reports do not count, since the pipeline makes them. `unknown` outside git, also in a copy of
    the sources within a repository of something else; where git refuses another user's folder, with a warning.
    """
    try:
        _git("ls-files", "--error-unmatch", "params.yaml")
        commit = _git("rev-parse", "HEAD")
        return f"{commit}-dirty" if _git("status", "--porcelain", "--", *RESULTS_DEPEND_ON) else commit
    except subprocess.CalledProcessError as error:
        if "dubious ownership" in error.stderr:
            print(
                "warning: results will not name their commit, since another user owns this folder; "
                f"to let git read it: git config --global --add safe.directory '{Path.cwd()}'",
                file=sys.stderr,
            )
        return "unknown"
    except OSError:  # there is no git
        return "unknown"


def _git(*arguments: str) -> str:
    environment = {**os.environ, "LC_ALL": "C"}  # messages in English
    return subprocess.run(
        ["git", *arguments], capture_output=True, encoding="utf-8", errors="replace", check=True, env=environment
    ).stdout.strip()
