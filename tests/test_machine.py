"""The commit that results report as their origin."""

import subprocess
from pathlib import Path

import pytest

from segbench.machine import git_commit


def git(*arguments: str) -> None:
    identity = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
    subprocess.run(["git", *identity, *arguments], check=True, capture_output=True)


def test_the_commit_is_dirty_by_code_and_parameters_not_by_results(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert git_commit() == "unknown"
    git("init")
    for name in ("params.yaml", "dvc.lock", "src/code.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("before")
    git("add", ".")
    git("commit", "-m", "all")
    commit = git_commit()
    assert len(commit) == 40
    (tmp_path / "dvc.lock").write_text("after")
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports/table.md").write_text("new")
    assert git_commit() == commit
    (tmp_path / "src/code.py").write_text("after")
    assert git_commit() == f"{commit}-dirty"
