"""What needs no network works in a namespace that has none, not even the loopback device."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.parameters import PROJECT
from tests.pipeline.stages import body, filled, tiny_parameters

ALONE = ("unshare", "--net", "--")
SEGBENCH = "from segbench.cli import main; main()"
SOCKET = "import socket; socket.create_connection(('127.0.0.1', 9), timeout=1)"


def _can_cut() -> bool:
    """Whether this user may do so: root outside a container, mostly."""
    try:
        return subprocess.run([*ALONE, "true"], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


pytestmark = pytest.mark.skipif(not _can_cut(), reason="unshare --net is not permitted")


def cut_off(*command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run Python with a command line where no address can be reached."""
    paths = os.pathsep.join([str(PROJECT), str(PROJECT / "src")])
    environment = {name: value for name, value in os.environ.items() if name != "MLFLOW_TRACKING_URI"}
    return subprocess.run(
        [*ALONE, sys.executable, *command], cwd=folder, env=environment | {"PYTHONPATH": paths}, check=False,
        capture_output=True, text=True,
    )  # fmt: skip


def test_the_namespace_has_no_network(tmp_path: Path) -> None:
    assert "Network is unreachable" in cut_off("-c", SOCKET, folder=tmp_path).stderr


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("project")
    parameters = tiny_parameters()
    parameters["benchmark"]["models"] = ["color_clusters"]
    (root / "params.yaml").write_text(yaml.safe_dump(parameters))
    return root


def test_parameters_are_read(project: Path) -> None:
    read = "from segbench import params; print(*params.load().benchmark.models)"
    assert cut_off("-c", read, folder=project).stdout == "color_clusters\n"


@pytest.mark.parametrize("command", [("-c", SEGBENCH), ("-c", SEGBENCH, "predict"), ("-m", "pipeline.prepare")])
def test_help_is_printed(project: Path, command: tuple[str, ...]) -> None:
    done = cut_off(*command, "--help", folder=project)
    assert done.returncode == 0, done.stderr
    assert "usage" in done.stdout.casefold()


@pytest.mark.parametrize("stage", ["check", "prepare"])
def test_a_stage_runs(project: Path, stage: str) -> None:
    _, *arguments = shlex.split(filled(body(stage)["cmd"], dataset="scenes", model=""))
    done = cut_off(*arguments, folder=project)
    assert done.returncode == 0, done.stderr
    there = project / ("data/sources/prepare/scenes.json" if stage == "check" else "data/prepared/scenes/manifest.csv")
    assert there.is_file()
