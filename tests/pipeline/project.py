"""A copy of the project in which DVC runs."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import yaml

from tests.parameters import PROJECT
from tests.pipeline.stages import tiny_parameters

CHECK = "src/dvc.yaml:check"
"""DVC's name of the stage that runs every time."""


def undisturbed_environment() -> dict[str, str]:
    """Of a shell in which nothing is set for DVC and MLflow, and whose programs are those of this Python."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("DVC_", "MLFLOW_"))}
    return {**kept, "PATH": path, "CI": "true"}


def epochs_in(checkpoint: Path) -> list[dict[str, Any]]:
    """The rows of curves.csv that a training's checkpoint holds."""
    content = torch.load(checkpoint, map_location="cpu", weights_only=True)
    (rows,) = [state["rows"] for state in content["callbacks"].values() if "rows" in state]
    return list(rows)


def let_programs_be_interrupted() -> None:
    """What is started in the background of a shell ignores Ctrl-C, and so would all that it starts."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


class Project:
    """A copy of the project, without git, in which little is to be done."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for name in ("src", "pipeline"):
            shutil.copytree(PROJECT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(PROJECT / "dvc.yaml", root)
        self.write(tiny_parameters())
        self.environment = undisturbed_environment()
        self.run("init", "--no-scm", "--quiet")
        shutil.copy(PROJECT / ".dvcignore", root)
        for option in ("core.analytics", "core.check_update"):
            self.run("config", option, "false")

    def write(self, parameters: dict[str, Any]) -> None:
        (self.root / "params.yaml").write_text(yaml.safe_dump(parameters))

    def edit(self, change: Callable[[dict[str, Any]], Any]) -> None:
        parameters = yaml.safe_load((self.root / "params.yaml").read_text())
        change(parameters)
        self.write(parameters)

    def start(self, *arguments: str, program: tuple[str, ...] = ("dvc",)) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*program, *arguments], cwd=self.root, env=self.environment, text=True, start_new_session=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def run(self, *arguments: str, program: tuple[str, ...] = ("dvc",), fails: bool = False) -> str:
        process = self.start(*arguments, program=program)
        output = process.communicate()[0]
        assert (process.returncode != 0) == fails, output
        return output

    def edit_source(self, path: str, old: str, new: str) -> None:
        """Replace a text of a source file, and let `check` see it."""
        source = self.root / path
        content = source.read_text()
        assert content.count(old) == 1, f"{path}: {old}"
        source.write_text(content.replace(old, new))
        self.run("repro", CHECK)

    def status(self) -> dict[str, Any]:
        """Stages with a changed dependency, parameter or output, and what has changed. The first runs every time."""
        content: dict[str, list[Any]] = yaml.safe_load(self.run("status", "--json"))
        content[CHECK].remove("always changed")
        return {stage: changes for stage, changes in content.items() if changes}

    def files(self) -> dict[str, bytes]:
        """All results and data, by path."""
        paths = [path for name in ("data", "reports") for path in (self.root / name).rglob("*") if path.is_file()]
        return {str(path): path.read_bytes() for path in paths if path.name != "mlflow.lock"}
