"""What `make` does to a user's files."""

import os
import re
import shutil
import socket
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet

PROJECT = Path(__file__).parents[1]


def test_clean_spares_raw_data_and_reports(tmp_path: Path) -> None:
    kept = [
        "data/README.md", "data/raw/mine/masks/a.png", "data/mine/images/a.png", "data/notes.txt",
        "reports/mine/audit.md",
    ]  # fmt: skip
    made = [
        "data/prepared/mine/manifest.csv",
        "data/prepared/.other.partial/manifest.csv",
        "data/.sources.123.partial/a.json",
        "data/sources/compare.json",
        "data/checkpoints/a",
        "data/tracking/a/entries.jsonl",
        *(f"{folder}/a" for folder in re.findall(r"data/[a-z]+", (PROJECT / "dvc.yaml").read_text())),
        ".dvc/cache/a",
        "mlflow.db",
        ".venv/bin/python",
    ]
    for name in (*kept, *made):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    command = ["make", "-f", str(PROJECT / "Makefile"), "clean"]
    subprocess.run(command, cwd=tmp_path, check=True, stdout=subprocess.DEVNULL)
    assert {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()} == set(kept)


def project_in(folder: Path) -> None:
    for name in ("Makefile", "pyproject.toml", "requirements.lock", "requirements-dev.lock"):
        shutil.copy(PROJECT / name, folder)


def make(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
    return subprocess.run(["make", *arguments], cwd=folder, env=kept, capture_output=True, text=True, check=False)


def test_a_python_that_is_too_old_is_one_line_before_anything_is_installed(tmp_path: Path) -> None:
    project_in(tmp_path)
    too_old = tmp_path / "python3.10"
    too_old.write_text("#!/bin/sh\nexit 1\n")
    too_old.chmod(0o755)
    for python in (str(too_old), "python-that-is-not-there"):
        ended = make(tmp_path, "setup", f"PYTHON={python}")
        assert ended.returncode != 0
        assert ended.stdout == (
            f"error: {python} is missing, without venv, or not Python 3.11 to 3.14; name one: make PYTHON=python3.13\n"
        )
        assert not (tmp_path / ".venv").exists()


@pytest.mark.parametrize(
    ("version", "is_taken"),
    [((3, 10, 14), False), ((3, 11, 0), True), ((3, 12, 7), True), ((3, 14, 3), True), ((3, 15, 0), False)],
)
def test_pythons_that_pyproject_allows_are_taken(
    version: tuple[int, ...], is_taken: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = re.search(r"\$\(PYTHON\) -c '(import sys.*?)'", (PROJECT / "Makefile").read_text())
    assert found is not None
    with monkeypatch.context() as patched, pytest.raises(SystemExit) as ended:
        patched.setattr(sys, "version_info", version)
        exec(found[1])
    assert (not ended.value.code) == is_taken
    asked = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["requires-python"]
    assert SpecifierSet(asked).contains(".".join(map(str, version))) == is_taken


@pytest.mark.parametrize("made_at", ["here", "elsewhere"])
def test_a_project_that_was_moved_is_installed_anew(tmp_path: Path, made_at: str) -> None:
    """Its .venv would run the sources where they were. After a change of the packages, the others stay."""
    folder = tmp_path / "x y" / "Bäume"
    (folder / ".venv").mkdir(parents=True)
    project_in(folder)
    (folder / ".venv/.ready").write_text(f"{folder if made_at == 'here' else tmp_path}\n")
    planned = make(folder, "--dry-run", "setup", f"PYTHON={sys.executable}").stdout
    assert ("-m venv --clear .venv" in planned) == (made_at == "elsewhere")
    assert ("-m pip install" in planned) == (made_at == "elsewhere")
    os.utime(folder / ".venv/.ready", (0, 0))
    planned = make(folder, "--dry-run", "setup", f"PYTHON={sys.executable}").stdout
    assert ("-m venv --clear .venv" in planned) == (made_at == "elsewhere")
    assert "-m pip install" in planned


def test_a_port_that_is_taken_is_one_line(tmp_path: Path) -> None:
    project_in(tmp_path)
    (tmp_path / ".venv/bin").mkdir(parents=True)
    (tmp_path / ".venv/bin/python").symlink_to(sys.executable)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = make(tmp_path, "--old-file", ".venv/.ready", "ui", f"PORT={port}")
    assert ended.returncode != 0
    assert ended.stdout == (
        f"error: port {port} of 127.0.0.1 is taken or cannot be used; choose another: make ui PORT=5001\n"
    )


def test_a_server_of_mlflow_is_not_started_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project_in(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://runs.example.org")
    ended = make(tmp_path, "--old-file", ".venv/.ready", "ui")
    assert ended.returncode != 0
    assert ended.stdout == (
        "error: MLFLOW_TRACKING_URI names a server, which shows its runs itself: open that address in a browser\n"
    )


def test_the_port_and_host_are_told_to_mlflow(tmp_path: Path) -> None:
    project_in(tmp_path)
    planned = make(tmp_path, "--dry-run", "--old-file", ".venv/.ready", "ui", "PORT=5001", "HOST=0.0.0.0").stdout
    assert '--host "0.0.0.0" --port "5001"' in planned
