"""A folder in which the stages that predict can run: a few scenes, and random weights of two seeds."""

from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import nn

from segbench import params
from segbench.datasets import scenes
from segbench.datasets.preparation import prepare
from segbench.datasets.prepared import Prepared
from segbench.models.build import build_model
from segbench.models.weights import save_weights
from tests.parameters import WHOLE_IMAGES
from tests.pipeline.stages import tiny_parameters

MODEL, SEEDS, SCALE = "color_clusters", ("seed_0", "seed_3"), 0.5
PREPARED, WEIGHTS = Path("prepared"), Path("weights")


def enter(
    folder: Path, patch: pytest.MonkeyPatch, *, seen: dict[str, Any] | None = None
) -> tuple[Prepared, dict[str, nn.Module]]:
    """Go to the folder; the dataset in PREPARED, and the networks of WEIGHTS by seed. seen: values of `input`."""
    patch.chdir(folder)
    patch.delenv("DVC_ROOT", raising=False)
    tree = tiny_parameters()
    tree["datasets"]["scenes"]["input"] = {"scale": SCALE, "crop_px": [24, 32], **WHOLE_IMAGES, **(seen or {})}
    Path("params.yaml").write_text(yaml.safe_dump(tree))
    parameters = params.load()
    source = scenes.open_source(seed=0, width_px=64, height_px=48, num_train=1, num_val=2, num_test=3)
    data = prepare(source, PREPARED)
    networks = {}
    for number, seed in enumerate(SEEDS):
        torch.manual_seed(number)
        networks[seed] = build_model(
            parameters.model(MODEL), backbone=parameters.backbone, num_classes=len(data.classes)
        )
        for tensor in networks[seed].state_dict().values():
            tensor.copy_(torch.rand(tensor.shape))  # colours, and logits of the classes
        save_weights(networks[seed], WEIGHTS / f"{seed}.pt")
    return data, networks
