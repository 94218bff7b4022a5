"""A packaged model with random weights, and the network that it holds."""

from pathlib import Path

import torch
from torch import nn

from segbench.labels import Classes
from segbench.models.build import build_model
from segbench.packages.card import FORMAT, Card
from segbench.packages.model import write_package
from tests.parameters import PARAMETERS

CLASSES = Classes(("sky", "road", "car"), ((135, 206, 235), (90, 90, 90), (200, 30, 30)))
CRF = {
    "appearance_weight": 5.0, "appearance_sigma_xy": 0.05, "appearance_sigma_rgb": 10.0, "smoothness_weight": 1.0,
    "smoothness_sigma_xy": 0.01, "steps": 2,
}  # fmt: skip


def package_at(folder: Path, *, model: str = "color_clusters", crf: bool = True, scale: float = 1.0) -> nn.Module:
    """Write a package there; the network, as it is packaged."""
    section = PARAMETERS.models[model]
    torch.manual_seed(0)
    network = build_model(
        section, backbone=PARAMETERS.backbone.model_copy(update={"weights": "none"}), num_classes=len(CLASSES)
    )
    if model == "color_clusters":
        for tensor in network.state_dict().values():
            tensor.copy_(torch.rand(tensor.shape))  # colours, and logits of the classes
    folder.mkdir(parents=True)
    write_package(folder, network, card_of(model, crf=crf, scale=scale))
    return network


def card_of(model: str, *, crf: bool = True, scale: float = 1.0) -> Card:
    """The card, before its weights are written."""
    return Card(
        format=FORMAT, dataset="streets", model=model, seed=0, architecture=PARAMETERS.models[model],
        backbone=PARAMETERS.backbone.name, scale=scale, image_px=(40, 24), class_names=CLASSES.names,
        class_colors=CLASSES.colors, crf=CRF if crf else None, bits=8, weights_digest="",
        scores={"validation": {"mean_iou": 0.5}}, image_licence="CC0",
        origin={"commit": "c0ffee", "training_key": "a key"},
    )  # fmt: skip
