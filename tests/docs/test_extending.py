"""The diffs of docs/extending.md apply to the project as it is, and the pipeline runs with all of them."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image

from tests.parameters import PARAMS_FILE, PROJECT
from tests.pipeline.stages import make_tiny

SECTIONS = dict(
    re.findall(
        r"^## (.*?)\n.*?^```diff\n(.*?)^```", (PROJECT / "docs/extending.md").read_text(), re.DOTALL | re.MULTILINE
    )
)


def run(*command: str, folder: Path, text: str = "") -> str:
    """The output of a command that must succeed."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("DVC_", "MLFLOW_"))}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    result = subprocess.run(
        command, cwd=folder, env=environment, input=text, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    assert result.returncode == 0, result.stdout
    return result.stdout


def extend(root: Path) -> None:
    """Make a copy of the project with every diff applied."""
    for name in ("src", "pipeline"):
        shutil.copytree(PROJECT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(PROJECT / "dvc.yaml", root)
    shutil.copy(PARAMS_FILE, root / "params.yaml")
    for change in SECTIONS.values():
        run("git", "apply", "-", folder=root, text=change)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project with every diff applied, in which the pipeline has run with the new model and loss."""
    root = tmp_path_factory.mktemp("extended")
    extend(root)
    parameters = yaml.safe_load((root / "params.yaml").read_text())
    make_tiny(parameters)
    parameters["benchmark"]["models"] = ["lr_aspp"]
    parameters["datasets"]["scenes"]["train"] = {"epochs": 1, "loss": {"cross_entropy": 1, "tversky": 0.5}}
    (root / "params.yaml").write_text(yaml.safe_dump(parameters))
    run("dvc", "init", "--no-scm", "--quiet", folder=root)
    run("dvc", "repro", folder=root)
    return root


def test_every_diff_applies(tmp_path: Path) -> None:
    extend(tmp_path)
    assert (tmp_path / "src/segbench/datasets/kitti.py").exists()


def test_the_page_shows_every_kind_of_change() -> None:
    assert list(SECTIONS) == [
        "A model", "A source of images", "A loss", "A metric", "A column of the tables", "A stage",
    ]  # fmt: skip


@pytest.mark.long
def test_the_new_model_is_trained_and_depends_on_its_own_file(project: Path) -> None:
    table = pd.read_csv(project / "reports/scenes/benchmark.csv")
    assert set(table["model"]) == {"lr_aspp"}
    digests = json.loads((project / "data/sources/train/lr_aspp.json").read_text())
    assert "src/segbench/models/lr_aspp.py" in digests and "src/segbench/models/unet.py" not in digests


@pytest.mark.long
def test_the_new_loss_is_trained_with(project: Path) -> None:
    training = json.loads((project / "reports/scenes/models/lr_aspp/training.json").read_text())
    assert training["settings"]["train"]["loss"] == {"cross_entropy": 1, "tversky": 0.5}


@pytest.mark.long
def test_the_new_stage_ranks_the_images(project: Path) -> None:
    table = pd.read_csv(project / "reports/scenes/hardest.csv")
    assert len(table) == 3 and table["mean"].is_monotonic_increasing


@pytest.mark.long
def test_the_new_source_is_prepared(project: Path) -> None:
    rng = np.random.default_rng(0)
    for kind, shape in (("image_2", (32, 64, 3)), ("semantic", (32, 64))):
        folder = project / "data/raw/kitti/training" / kind
        folder.mkdir(parents=True)
        for number in range(20):
            Image.fromarray(rng.integers(0, 34, shape, np.uint8)).save(folder / f"{number:06}_10.png")
    out = {"--out": "prepared", "--page": "audit.md", "--contact-sheet": "images.jpg"}
    options = [text for option in {"--dataset": "kitti", **out}.items() for text in option]
    run(sys.executable, "-m", "pipeline.prepare", *options, folder=project)
    manifest = pd.read_csv(project / "prepared/manifest.csv")
    assert manifest["split"].value_counts().to_dict() == {"train": 14, "test": 4, "val": 2}


@pytest.mark.long
def test_the_new_metric_and_column_are_in_every_table(project: Path) -> None:
    report = project / "reports/scenes"
    table = pd.read_csv(report / "benchmark.csv")
    assert (table["mPrecision_low"] <= table["mPrecision"]).all() and table["mPrecision"].between(0, 1).all()
    assert table["images_per_second"].to_list() == pytest.approx((1000 / table["latency_ms"]).to_list())
    for name in ("benchmark.md", "benchmark.tex", "index.html"):
        text = (report / name).read_text()
        assert "mPrecision" in text and "Speed" in text, name
