"""Saving and restoring trained networks: a model's folder has one file per seed, and says which seeds diverged."""

import io
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn

from segbench import params
from segbench.errors import InputError
from segbench.files import damage_of, flush_to_disk, replacing
from segbench.models.build import build_model

DIVERGED = "diverged.json"
"""In a model's folder: the epoch in which the loss of a training was not finite, by seed, as `seed_0`."""


def weights_name(seed: int) -> str:
    """The name of a seed's file in its model's folder."""
    return f"seed_{seed}.pt"


def save_weights(network: nn.Module, path: Path) -> None:
    """Write a network's state dict, with its tensors on the CPU. The same weights give the same file."""
    save_whole({name: tensor.cpu().contiguous() for name, tensor in network.state_dict().items()}, path)


def save_whole(content: Any, path: Path) -> None:
    """Write what torch can save, whole or not at all, and onto the disk. OSError if the disk is full.

    By way of memory: torch would tell of a full disk by an error of its own, and write a file's name into it.
    """
    saved = io.BytesIO()
    torch.save(content, saved)
    with replacing(path) as temporary:
        temporary.write_bytes(saved.getbuffer())
        flush_to_disk(temporary)


def all_diverged(folder: Path) -> bool:
    """Whether every training of a model diverged, so that its folder has no weights."""
    return (folder / DIVERGED).exists() and not any(folder.glob("seed_*.pt"))


def restore_network(model: params.AnyModel, *, backbone: params.Backbone, num_classes: int, path: Path) -> nn.Module:
    """Read a network that `save_weights` wrote.

    Raises InputError if the file is missing, damaged or of another model.
    """
    untrained = backbone.model_copy(update={"weights": "none"})
    network = build_model(model, backbone=untrained, num_classes=num_classes)
    if path.exists() and (damage := damage_of(path)):
        raise InputError(
            f"{path}: damaged ({damage}); `python -m pipeline.mend` looks at DVC's copy too; then run dvc repro"
        )
    try:
        network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    except pickle.UnpicklingError:
        raise InputError(f"{path}: holds more than weights, which is not loaded; train again") from None
    except (RuntimeError, FileNotFoundError) as error:
        raise InputError(f"{path}: not the weights of this model ({str(error).splitlines()[0]}); train again") from None
    return network


def restore_seeds(
    model: params.AnyModel, *, backbone: params.Backbone, num_classes: int, folder: Path
) -> Iterator[tuple[str, nn.Module]]:
    """Read (name, network) of each seed in a model's folder, in the order of the seeds. Names are like `seed_0`.

    Raises InputError if there is none, or as `restore_network` does.
    """
    paths = sorted(folder.glob("seed_*.pt"), key=lambda path: int(path.stem.removeprefix("seed_")))
    if not paths:
        raise InputError(f"{folder}: no weights; train first")
    for path in paths:
        yield path.stem, restore_network(model, backbone=backbone, num_classes=num_classes, path=path)
