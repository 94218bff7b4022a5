"""Samples per second from stored arrays, made while training, and of a plain Dataset, against what training consumes.

At CamVid's training size: 480x360 images halved, crops of 208x160, batches of 8, the recipe of params.yaml. Run with
`make bench`; SEGBENCH_CAMVID names a copy of CamVid, else scenes are drawn.
"""

import os
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import replace
from functools import partial
from io import StringIO
from pathlib import Path

import albumentations as A
import cv2
import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from benchmarks.markdown import print_table
from segbench import params
from segbench.augment.stream import Recipe, write_augmented
from segbench.augment.transforms import Transform
from segbench.datasets import camvid, scenes
from segbench.datasets.preparation import prepare
from segbench.datasets.prepared import Prepared
from segbench.labels import IGNORE_INDEX
from segbench.machine import describe_machine
from segbench.models.build import build_model
from segbench.models.network import Network
from segbench.training.fit import fit
from segbench.training.precision import choose_precision, device_type
from segbench.training.samples import AugmentedSamples, WholeImages

NUM_IMAGES, BATCH_SIZE, ROUNDS = 160, 8, 3
SCALE, CROP_PX = 0.5, (160, 208)
MODELS = ("fcn_32s", "unet")


class DecodeAndAugment(Dataset[tuple[Tensor, Tensor]]):
    """What most projects write: open an image and its label map, hand both to albumentations."""

    def __init__(self, data: Prepared, transforms: list[Transform]) -> None:
        folder = data.root / "train"
        self.paths = [(folder / "images" / f"{row.name}.png", folder / "label_maps" / f"{row.name}.png")
                      for row in data.split("train")]  # fmt: skip
        row = data.split("train")[0]
        self.augment = A.Compose([
            A.Resize(round(row.height_px * SCALE), round(row.width_px * SCALE), interpolation=cv2.INTER_AREA),
            *(getattr(A, name)(**arguments) for entry in transforms for name, arguments in entry.items()),
            A.PadIfNeeded(*CROP_PX, position="random", fill_mask=IGNORE_INDEX),
            A.RandomCrop(*CROP_PX),
        ])  # fmt: skip

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        image, label_map = (np.array(Image.open(path)) for path in self.paths[index])
        sample = self.augment(image=image, mask=label_map)
        return torch.from_numpy(sample["image"]).permute(2, 0, 1), torch.from_numpy(sample["mask"])


def prepared(folder: Path) -> Prepared:
    """NUM_IMAGES training images of CamVid, or scenes of their size; and one to validate on."""
    num_images = {"train": NUM_IMAGES, "val": 1, "test": 1}
    if root := os.environ.get("SEGBENCH_CAMVID"):
        source = camvid.open_source(Path(root), split="published")
        by_split = {split: [one for one in source.examples if one.split == split] for split in num_images}
        examples = [one for split, count in num_images.items() for one in by_split[split][:count]]
        return prepare(replace(source, examples=examples), folder)
    return prepare(
        scenes.open_source(seed=0, width_px=480, height_px=360, num_train=NUM_IMAGES, num_val=1, num_test=1), folder
    )


def loading(samples: Dataset[tuple[Tensor, Tensor]], *, workers: int) -> Callable[[], float]:
    """Samples per second over NUM_IMAGES of them; worker processes stay alive in between, as in training."""
    loader = DataLoader(
        samples, BATCH_SIZE, sampler=range(NUM_IMAGES), num_workers=workers, persistent_workers=workers > 0
    )

    def load() -> float:
        start = time.perf_counter()
        for _ in loader:
            pass
        return NUM_IMAGES / (time.perf_counter() - start)

    return load


def training(name: str, samples: AugmentedSamples, data: Prepared, parameters: params.Params) -> float:
    """Images per second of an epoch's steps, as the train stage makes them."""
    model = build_model(parameters.model(name), backbone=parameters.backbone, num_classes=len(data.classes))
    assert isinstance(model, Network)
    schedule = parameters.train.model_copy(update={"batch_size": BATCH_SIZE, "epochs": 1, "validate_every_epochs": 1})
    precision = choose_precision(schedule.precision, device_type(schedule.accelerator))
    with tempfile.TemporaryDirectory() as folder, redirect_stdout(StringIO()):
        (epoch,) = fit(
            model, samples, WholeImages(data, "val", scale=SCALE), schedule=schedule, seed=0,
            precision=precision, class_weights=None, num_classes=len(data.classes), checkpoints=Path(folder),
            on_epoch=lambda row: None,
        )  # fmt: skip
    return epoch.images_per_second


def main() -> None:
    """Print the table."""
    parameters = params.load(Path(__file__).parent.parent / "params.yaml")
    transforms = parameters.augment.transforms
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        data = prepared(folder / "prepared")
        for name, copies in (("stored", 1), ("made", 0)):
            recipe = Recipe(seed=0, copies=copies, scale=SCALE, crop_px=CROP_PX, transforms=transforms)
            write_augmented(recipe, data, folder / name)
        stored, made = (AugmentedSamples(folder / name, data) for name in ("stored", "made"))
        plain = DecodeAndAugment(data, transforms)
        measured: dict[str, Callable[[], float]] = {
            "stored": loading(stored, workers=0),
            "made, first epoch": lambda: loading(AugmentedSamples(folder / "made", data), workers=0)(),
            "made, later": loading(made, workers=0),
            "made by 2 workers, later": loading(made, workers=2),
            "plain Dataset": loading(plain, workers=0),
            "plain Dataset, 2 workers": loading(plain, workers=2),
            **{f"training of {name}": partial(training, name, stored, data, parameters) for name in MODELS},
        }
        for load in (measured["made, later"], measured["made by 2 workers, later"]):
            load()  # decodes
        rates: dict[str, list[float]] = {name: [] for name in measured}
        for _ in range(ROUNDS):
            for name, measure in measured.items():
                rates[name].append(measure())
    medians = {name: statistics.median(values) for name, values in rates.items()}
    fastest = max(medians[f"training of {model}"] for model in MODELS)
    print("# Loading training samples\n")
    print(f"{describe_machine()}. {len(data.split('train'))} images, {torch.get_num_threads()} threads,", end=" ")
    print(f"medians of {ROUNDS} rounds in turns.\n")
    rows = []
    for name, median in medians.items():
        ratios = (f"{median / medians[f'training of {model}']:.2f}" for model in MODELS)
        too_slow = name.startswith(("stored", "made")) and median < fastest
        rows.append([name, f"{median:.1f}", *ratios, "TOO SLOW" if too_slow else ""])
    print_table(["images per second", "median", *(f"/ {name}" for name in MODELS), ""], rows)


if __name__ == "__main__":
    main()
