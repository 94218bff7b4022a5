"""A folder with params.yaml and samples of drawn scenes, as `prepare` and `augment` leave them, to search in."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from segbench.augment.stream import Recipe, write_augmented
from segbench.datasets import scenes
from segbench.datasets.preparation import prepare
from tests.parameters import PARAMS_FILE, PROJECT

COMMAND = "import sys; from segbench.cli import main; sys.exit(main())"
SMALL = {"patch_px": 16, "stride": 4, "channels": 4, "hidden_channels": 4}
"""A network that trains in no time."""


def project_at(root: Path, **train: Any) -> Path:
    """Without the test split's images. train: values of `train` on the dataset."""
    tree = yaml.safe_load(PARAMS_FILE.read_text())
    tree["models"] = {"sliding_window": {**tree["models"]["sliding_window"], **SMALL}}
    tree["variants"], tree["benchmark"] = {}, {"datasets": ["scenes"], "models": ["sliding_window"], "variants": []}
    tree["datasets"] = {"scenes": tree["datasets"]["scenes"]}
    tree["datasets"]["scenes"]["train"] = {"epochs": 3, "batch_size": 2, "validate_every_epochs": 1, **train}
    tree["datasets"]["scenes"]["input"]["crop_px"] = [48, 64]
    root.mkdir(parents=True, exist_ok=True)
    (root / "params.yaml").write_text(yaml.safe_dump(tree))
    source = scenes.open_source(seed=0, width_px=64, height_px=48, num_train=4, num_val=1, num_test=1)
    data = prepare(source, root / "data/prepared/scenes")
    recipe = Recipe(seed=0, copies=1, scale=1.0, crop_px=(48, 64), transforms=[])
    write_augmented(recipe, data, root / "data/augmented/scenes")
    shutil.rmtree(root / "data/prepared/scenes/test")
    return root


def started(root: Path, *arguments: str) -> "subprocess.Popen[str]":
    """`segbench search scenes/sliding_window ARGUMENTS` in a process of its own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("DVC_", "MLFLOW_"))}
    environment = {**kept, "PYTHONPATH": str(PROJECT / "src"), "MLFLOW_TRACKING_URI": "http://127.0.0.1:9"}
    return subprocess.Popen(
        [sys.executable, "-c", COMMAND, "search", "scenes/sliding_window", *arguments],
        cwd=root, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
