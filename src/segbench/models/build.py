"""Builds the network that a model's section of params.yaml describes."""

from importlib import import_module
from typing import Any

from torch import nn

from segbench import params
from segbench.models.backbones import Backbone
from segbench.models.network import DEEPEST

NOT_ARGUMENTS = {*params.OF_TRAINING, "architecture", "backbone", "output_stride", "rates_for_map_px"}
"""Fields of a section that the network's constructor does not take."""


def build_model(model: params.AnyModel, *, backbone: params.Backbone, num_classes: int) -> nn.Module:
    """Build a section's network, with its backbone's weights loaded. Raises InputError if that fails."""
    arguments = {name: getattr(model, name) for name in type(model).model_fields if name not in NOT_ARGUMENTS}
    if isinstance(model, params.BackboneModel):
        arguments["backbone"] = _encoder(model, backbone)
    network: nn.Module = _imported(model.network)(num_classes=num_classes, **arguments)
    return network


def _encoder(model: params.BackboneModel, backbone: params.Backbone) -> nn.Module:
    if isinstance(model, params.UNetModel) and backbone.name == params.CONTRACTING_PATH:
        path: nn.Module = _imported(model.contracting_path)(channels=64, batch_norm=model.batch_norm)
        return path
    output_stride = getattr(model, "output_stride", DEEPEST)
    return Backbone(backbone.name, weights=backbone.weights, output_stride=output_stride)


def _imported(name: str) -> Any:
    """The class that `module:name` names. Only its module is imported: no model depends on the code of another."""
    module, _, attribute = name.partition(":")
    return getattr(import_module(module), attribute)


def num_parameters(module: nn.Module | None) -> int:
    """Number of learnable parameters of a network, or of a part of it; 0 for None."""
    return sum(parameter.numel() for parameter in module.parameters()) if module else 0
