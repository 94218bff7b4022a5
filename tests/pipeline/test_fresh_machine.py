"""The pipeline where little is as usual: no git, no home, no network, spaces and umlauts in the path."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml

from tests.parameters import PROJECT
from tests.pipeline.stages import tiny_parameters

pytestmark = pytest.mark.long

NOTES_CONNECTIONS = """
import os
import sys

LOCAL = ("127.0.0.1", "::1", "localhost", None, "")

def refuse(event, arguments):
    if event in ("socket.getaddrinfo", "socket.gethostbyname"):
        host = arguments[0]
    elif event == "socket.connect" and isinstance(arguments[1], tuple):
        host = arguments[1][0]
    else:
        return
    if host not in LOCAL:
        with open(os.environ["CONNECTIONS"], "a", encoding="utf-8") as file:
            file.write(f"{sys.argv} {event} {host}\\n")
        raise OSError("there is no network")

sys.addaudithook(refuse)
"""
"""As sitecustomize.py, Python runs it at the start of every process."""


def odd_environment(root: Path) -> dict[str, str]:
    """Nothing that a shell usually has but PATH; a home that cannot be made; connections are noted and refused."""
    (root / "start").mkdir()
    (root / "start/sitecustomize.py").write_text(NOTES_CONNECTIONS)
    return {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "HOME": "/proc/no-home",
        "PYTHONPATH": f"{root / 'start'}",
        "CONNECTIONS": str(root / "connections.txt"),
        "OMP_NUM_THREADS": "1",
    }


def run(command: list[str], folder: Path, environment: Mapping[str, str]) -> str:
    ended = subprocess.run(
        command, cwd=folder, env=environment, encoding="utf-8", errors="replace", check=False,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout
    return ended.stdout


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("odd")


@pytest.fixture(scope="module")
def project(root: Path) -> Path:
    """What a ZIP file of the sources has, with little to do, where `make reproduce` has been called."""
    folder = root / "x y" / "Bäume"
    for name in ("src", "pipeline"):
        shutil.copytree(PROJECT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / ".dvc").mkdir()
    for name in ("Makefile", "pyproject.toml", "dvc.yaml", ".dvcignore", ".dvc/config", ".dvc/.gitignore"):
        shutil.copy(PROJECT / name, folder / name)
    parameters = tiny_parameters()
    parameters["benchmark"]["models"] = ["color_clusters"]
    (folder / "params.yaml").write_text(yaml.safe_dump(parameters))
    environment = odd_environment(root)
    environment["PYTHONPATH"] += f"{os.pathsep}{folder / 'src'}"
    output = run(["make", "--old-file", ".venv/.ready", "reproduce"], folder, environment)
    (root / "output.txt").write_text(output)
    return folder


def test_sources_from_a_zip_file_are_reproduced(root: Path, project: Path) -> None:
    output = (root / "output.txt").read_text()
    assert "Running stage 'compare@scenes'" in output
    assert "| color_clusters" in output
    assert "Traceback" not in output
    assert '"commit": "unknown"' in (project / "reports/scenes/models/color_clusters/training.json").read_text()


def test_nothing_asks_the_network(root: Path, project: Path) -> None:
    """Not for updates, telemetry or weights: what each stage imports is imported by a whole run."""
    connections = root / "connections.txt"
    assert not connections.exists(), connections.read_text()
    asks = [sys.executable, "-c", "import socket; socket.create_connection(('example.org', 80))"]
    noted = {"PYTHONPATH": str(root / "start"), "CONNECTIONS": str(root / "noted.txt")}
    assert subprocess.run(asks, env=noted, capture_output=True, check=False).returncode != 0
    assert "example.org" in (root / "noted.txt").read_text(), "the test itself sees nothing"


def test_a_moved_project_goes_on_in_a_locale_without_utf_8(root: Path, project: Path) -> None:
    moved = root / "moved"
    shutil.copytree(project, moved)
    ascii_only = {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(root), "PYTHONPATH": str(moved / "src"), "LC_ALL": "C", "PYTHONUTF8": "0",
        "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "ascii", "OMP_NUM_THREADS": "1",
    }  # fmt: skip
    before = (moved / "reports/scenes/benchmark.md").read_bytes()
    output = run(["dvc", "repro", "--force", "--single-item", "compare@scenes"], moved, ascii_only)
    output += run(["python", "-m", "pipeline.summary"], moved, ascii_only)
    assert "Traceback" not in output
    assert "| color_clusters" in output
    assert (moved / "reports/scenes/benchmark.md").read_bytes() == before
    assert "up to date" in run(["dvc", "status", "compare@scenes", "claims@scenes"], moved, ascii_only)
