"""A trained network's way to disk and back: one file for each seed in a model's folder."""

from collections.abc import Iterator
from pathlib import Path

import torch
from torch import nn

from segbench import params
from segbench.errors import InputError
from segbench.files import replacing
from segbench.models.build import build_model


def weights_name(seed: int) -> str:
    """The file of a seed's weights in its model's folder."""
    return f"seed_{seed}.pt"


def save_weights(network: nn.Module, path: Path) -> None:
    """Write a network's state, on the CPU."""
    with replacing(path) as temporary:
        torch.save({name: tensor.cpu().contiguous() for name, tensor in network.state_dict().items()}, temporary)


def restore_network(model: params.AnyModel, *, backbone: params.Backbone, num_classes: int, path: Path) -> nn.Module:
    """The trained network that `save_weights` wrote. InputError if the file is of another model."""
    untrained = backbone.model_copy(update={"weights": "none"})
    network = build_model(model, backbone=untrained, num_classes=num_classes)
    try:
        network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    except (RuntimeError, FileNotFoundError) as error:
        raise InputError(f"{path}: not the weights of this model ({str(error).splitlines()[0]}); train again") from None
    return network


def restore_seeds(
    model: params.AnyModel, *, backbone: params.Backbone, num_classes: int, folder: Path
) -> Iterator[tuple[str, nn.Module]]:
    """(name, network) for each seed's weights in a model's folder, in the order of the seeds; a name is as `seed_0`."""
    paths = sorted(folder.glob("seed_*.pt"), key=lambda path: int(path.stem.removeprefix("seed_")))
    if not paths:
        raise InputError(f"{folder}: no weights; train first")
    for path in paths:
        yield path.stem, restore_network(model, backbone=backbone, num_classes=num_classes, path=path)
