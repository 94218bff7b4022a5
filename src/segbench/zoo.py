"""From a model's entry in params.yaml to the model, and its weights' way to disk and back."""

from collections.abc import Iterator
from pathlib import Path

import torch
from torch import nn

from segbench import params
from segbench.errors import InputError
from segbench.files import replacing
from segbench.models.backbones import Backbone
from segbench.models.color_clusters import ColorClusters
from segbench.models.deeplab_v1 import DeepLabV1
from segbench.models.deeplab_v2 import DeepLabV2
from segbench.models.deeplab_v3 import DeepLabV3
from segbench.models.deeplab_v3_plus import DeepLabV3Plus
from segbench.models.fcn import FCN
from segbench.models.layers import DEEPEST, Network
from segbench.models.pspnet import PSPNet
from segbench.models.sliding_window import SlidingWindow
from segbench.models.unet import ContractingPath, UNet

AnyNetwork = Network | ColorClusters


def build(model: params.AnyModel, *, backbone: params.Backbone, num_classes: int) -> AnyNetwork:
    """The model, its backbone with the named weights. InputError if those cannot be had."""
    own = model.model_dump(exclude={"architecture", "train", "train_on", "backbone", "output_stride"})

    def encoder(output_stride: int = DEEPEST) -> Backbone:
        return Backbone(backbone.name, weights=backbone.weights, output_stride=output_stride)

    match model:
        case params.ColorClustersModel():
            return ColorClusters(num_classes=num_classes, **own)
        case params.SlidingWindowModel():
            return SlidingWindow(num_classes=num_classes, **own)
        case params.FCNModel():
            return FCN(encoder(), num_classes=num_classes, **own)
        case params.UNetModel() if backbone.name == params.CONTRACTING_PATH:
            return UNet(ContractingPath(channels=64, batch_norm=model.batch_norm), num_classes=num_classes, **own)
        case params.UNetModel():
            return UNet(encoder(), num_classes=num_classes, **own)
        case params.PSPNetModel():
            return PSPNet(encoder(model.output_stride), num_classes=num_classes, **own)
        case params.DeepLabV1Model():
            return DeepLabV1(encoder(model.output_stride), num_classes=num_classes, **own)
        case params.DeepLabV2Model():
            return DeepLabV2(encoder(model.output_stride), num_classes=num_classes, **own)
        case params.DeepLabV3Model():
            return DeepLabV3(encoder(model.output_stride), num_classes=num_classes, **own)
        case params.DeepLabV3PlusModel():
            return DeepLabV3Plus(encoder(model.output_stride), num_classes=num_classes, **own)


def num_parameters(module: nn.Module | None) -> int:
    """Learnable parameters of a network, or of a part that it may lack."""
    return sum(parameter.numel() for parameter in module.parameters()) if module else 0


def weights_name(seed: int) -> str:
    """The file of a seed's weights in its model's folder."""
    return f"seed_{seed}.pt"


def save(network: nn.Module, path: Path) -> None:
    """Write a network's state, on the CPU."""
    with replacing(path) as temporary:
        torch.save({name: tensor.cpu().contiguous() for name, tensor in network.state_dict().items()}, temporary)


def restore(model: params.AnyModel, *, backbone: params.Backbone, num_classes: int, path: Path) -> AnyNetwork:
    """The trained network that `save` wrote. InputError if the file is of another model."""
    untrained = backbone.model_copy(update={"weights": "none"})
    network = build(model, backbone=untrained, num_classes=num_classes)
    try:
        network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    except (RuntimeError, FileNotFoundError) as error:
        raise InputError(f"{path}: not the weights of this model ({str(error).splitlines()[0]}); train again") from None
    return network


def restore_all(
    model: params.AnyModel, *, backbone: params.Backbone, num_classes: int, folder: Path
) -> Iterator[tuple[str, AnyNetwork]]:
    """(name, network) of each seed's weights in a model's folder, in the order of the seeds; a name is as `seed_0`."""
    paths = sorted(folder.glob("seed_*.pt"), key=lambda path: int(path.stem.removeprefix("seed_")))
    if not paths:
        raise InputError(f"{folder}: no weights; train first")
    for path in paths:
        yield path.stem, restore(model, backbone=backbone, num_classes=num_classes, path=path)
