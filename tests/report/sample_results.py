"""A prepared dataset and models' results, as far as the sentences of reports need them."""

from pathlib import Path
from typing import Any

import pandas as pd

from segbench.datasets.prepared import Prepared, Row
from segbench.labels import Classes
from segbench.report.table.results import ModelResults


def row(split: str, name: str, *, group: str, block: str, height_px: int = 2) -> Row:
    return Row(
        split=split, name=name, group=group, block=block, height_px=height_px, width_px=2, class_pixels=(4,),
        ignored_pixels=0, image_digest=name, label_digest=name, perceptual_hash=0,
    )  # fmt: skip


def data(*, seen: bool, blocks: tuple[str, str]) -> Prepared:
    """seen: the 16 training images are of the groups of validation and test images. blocks: of two images of each.

    Eight more test images are of a group each, so that there are not few.
    """
    rows = (
        *(row("train", f"t{index}", group="first", block="a") for index in range(16)),
        *(row("val", f"b{block}", group="first" if seen else "third", block=block) for block in blocks),
        row("test", "a", group="first" if seen else "second", block="a"),
        *(row("test", f"d{index}", group="second", block=block) for index, block in enumerate(blocks)),
        *(row("test", f"e{index}", group=f"e{index}", block=f"e{index}") for index in range(8)),
    )
    return Prepared(Path(), Classes.of([("all", (0, 0, 0))]), fingerprint="", rows=rows)


def a_model(
    name: str = "unet", *, backbone: str = "resnet18", epochs: int = 40, seeds: tuple[int, ...] = (0, 1, 2),
    scale: float = 1.0, machine: str = "one", deviations: dict[str, Any] | None = None, weights: str = "bundled",
    predicted_on: str = "", commit: str = "c0ffee", train: dict[str, Any] | None = None,
    seen: dict[str, Any] | None = None,
) -> ModelResults:  # fmt: skip
    """A model's results as far as sentences need them. backbone: `none` for a model that has none. epochs: 0 for one
    that is not trained by epochs. machine: it is trained on, or several, such as `one, two`; predicted_on: another one.
    train: some of its values. seen: tiles and test-time augmentation, if they were used.
    """
    own = {"backbone": "none"} if backbone == "none" else {}
    training = {
        "deviations": {**own, **(deviations or {})},
        "search": None,
        "settings": {
            "model": {"name": name, "backbone": None, "architecture": "unet", "skips": True},
            "samples": {"scale": scale, "crop_px": [96, 128]},
            "backbone": {"name": "shared" if backbone == "none" else backbone, "weights": weights},
            "train": {
                "epochs": epochs, "seeds": list(seeds), "batch_size": 8, "devices": 1, "lr": 0.01, "optimizer": "sgd",
                "backbone_lr_factor": 0.5, "loss": {"dice": 1.0}, "class_weights": "none", "rare_class_sampling": 0.0,
                "checkpoint": "last", "precision": "float32", **(train or {}),
            },
        },
        "trainings": [{"seed": seed, "commit": commit, "training_key": f"key{seed}"} for seed in seeds],
        "machines": machine.split(", "),
        "versions": {"python": "3"},
    }  # fmt: skip
    rows = pd.DataFrame(
        {
            "seed": [seed for seed in seeds for _ in range(epochs)], "epoch": [*range(1, epochs + 1)] * len(seeds),
            "val_mean_iou": 0.5, "train_loss": 1.0,
        }
    )  # fmt: skip
    search = {
        "objective": "mean_iou", "num_images": 15, "score_without": 0.5, "chosen": {"steps": 5},
        "best": {"score": 0.52, "parameters": {"steps": 5}},
    }  # fmt: skip
    return ModelResults(
        name, Path(), training=training, prediction={"machine": predicted_on or machine, **(seen or {})}, crf=search,
        latency={}, counts={}, epochs=rows, ends_with_crf=False,
    )  # fmt: skip


INDEPENDENT = data(seen=False, blocks=("b", "c"))
