"""The commit that results report as their origin, and the memory that they report as a model's."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from segbench import machine
from segbench.machine import describe_machine, git_commit, vector_kind
from tests.parameters import PROJECT


def git(*arguments: str) -> None:
    identity = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
    subprocess.run(["git", *identity, *arguments], check=True, capture_output=True)


def test_the_commit_is_dirty_by_code_and_parameters_not_by_results(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert git_commit() == "unknown"
    git("init")
    for name in ("params.yaml", "dvc.lock", "src/dvc.lock", "src/code.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("before")
    git("add", ".")
    git("commit", "-m", "all")
    commit = git_commit()
    assert len(commit) == 40
    for name in ("dvc.lock", "src/dvc.lock"):
        (tmp_path / name).write_text("after")
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports/table.md").write_text("new")
    assert git_commit() == commit
    (tmp_path / "src/code.py").write_text("after")
    assert git_commit() == f"{commit}-dirty"


def test_sources_without_git_are_of_no_commit_also_within_another_repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As unpacked from a ZIP file into a folder that is in git."""
    monkeypatch.chdir(tmp_path)
    git("init")
    (tmp_path / "notes.txt").touch()
    git("add", ".")
    git("commit", "-m", "notes")
    (tmp_path / "segbench").mkdir()
    (tmp_path / "segbench/params.yaml").touch()
    monkeypatch.chdir(tmp_path / "segbench")
    assert git_commit() == "unknown"
    monkeypatch.setenv("PATH", str(tmp_path))
    assert git_commit() == "unknown", "git is not installed"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder to another user")
def test_a_folder_of_another_user_has_no_commit_and_one_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")  # the configuration may trust all folders
    git("init")
    (tmp_path / "params.yaml").touch()
    git("add", ".")
    git("commit", "-m", "all")
    for path in (tmp_path, tmp_path / ".git"):
        os.chown(path, 65534, 65534)
    assert git_commit() == "unknown"
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("warning: results will not name their commit, since another user owns this folder")
    assert line.endswith(f"git config --global --add safe.directory '{tmp_path}'")


@pytest.mark.parametrize(
    ("names", "kind"),
    [
        (["avx2", "avx512_f", "avx512_bf16", "amx_tile", "amx_bf16"], "AMX"),
        (["avx2", "avx512_f", "avx512_bf16", "amx_tile"], "AVX-512 bf16"),
        (["avx2", "avx512_f"], "AVX-512"),
        (["avx2"], "AVX2"),
        ([], ""),
    ],
)
def test_a_processor_is_told_by_its_fastest_vector_arithmetic(names: list[str], kind: str) -> None:
    everything = dict.fromkeys(["avx2", "avx512_f", "avx512_bf16", "amx_tile", "amx_bf16"], False)
    assert vector_kind({**everything, **dict.fromkeys(names, True)}) == kind


def test_a_machine_is_described_with_its_vector_arithmetic_and_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    kind = vector_kind(torch.cpu.get_capabilities())
    monkeypatch.setattr(machine, "num_cores", os.cpu_count)
    assert f"({kind}), {os.cpu_count()} cores, " in describe_machine() if kind else "()" not in describe_machine()
    monkeypatch.setattr(machine, "num_cores", lambda: 1000)
    assert f" {os.cpu_count()} cores (1000 used), " in describe_machine()


@pytest.mark.skipif(torch.cuda.is_available(), reason="on a GPU, its own memory counts")
def test_added_memory_is_what_was_taken_beyond_what_the_process_held() -> None:
    """Of a new process, since the peak of this one is that of other tests. 300 MiB are more than torch's own peak.

    What the process has held that starts it does not count.
    """
    np.ones(1500 * 2**20, np.uint8)
    program = """
import numpy as np
import torch
from segbench.machine import added_memory_mib, held_memory_mib
held_mib = held_memory_mib()
taken = np.ones(300 * 2**20, np.uint8)
print(held_mib, held_memory_mib() - held_mib)
del taken
print(added_memory_mib(held_mib=held_mib), added_memory_mib(held_mib=1e6))
"""
    environment = {**os.environ, "PYTHONPATH": str(PROJECT / "src")}
    output = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment
    ).stdout
    held_mib, taken_mib, added_mib, none_mib = map(float, output.split())
    assert held_mib > 100, "Python and torch"
    assert taken_mib == pytest.approx(300, abs=10)
    assert added_mib == pytest.approx(300, abs=30)
    assert none_mib == 0
