"""From a model's entry in params.yaml to the model, and its weights' way to disk and back."""

from pathlib import Path

import torch
from torch import nn

from segbench import params
from segbench.errors import InputError
from segbench.files import replacing
from segbench.models.backbones import Backbone
from segbench.models.color_clusters import ColorClusters
from segbench.models.fcn import FCN
from segbench.models.unet import UNet


def build(model: params.AnyModel, *, backbone: params.Backbone, num_classes: int) -> nn.Module:
    """The model, its backbone with the named weights. InputError if those cannot be had."""
    match model:
        case params.ColorClustersModel():
            return ColorClusters(num_classes=num_classes, num_clusters=model.num_clusters)
        case params.FCNModel():
            return FCN(
                Backbone(backbone.name, weights=backbone.weights),
                num_classes=num_classes,
                stride=model.stride,
                upsampling=model.upsampling,
                head_channels=model.head_channels,
                dropout=model.dropout,
            )
        case params.UNetModel():
            return UNet(
                Backbone(backbone.name, weights=backbone.weights),
                num_classes=num_classes,
                decoder_channels=model.decoder_channels,
            )


def save(network: nn.Module, path: Path) -> None:
    """Write a network's state, on the CPU."""
    with replacing(path) as temporary:
        torch.save({name: tensor.cpu().contiguous() for name, tensor in network.state_dict().items()}, temporary)


def restore(model: params.AnyModel, *, backbone: params.Backbone, num_classes: int, path: Path) -> nn.Module:
    """The trained network that `save` wrote. InputError if the file is of another model."""
    untrained = backbone.model_copy(update={"weights": "none"})
    network = build(model, backbone=untrained, num_classes=num_classes)
    try:
        network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    except (RuntimeError, FileNotFoundError) as error:
        raise InputError(f"{path}: not the weights of this model ({str(error).splitlines()[0]}); train again") from None
    return network
