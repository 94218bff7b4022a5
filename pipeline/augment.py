"""Prepared training images -> the augmented samples that every network sees, and a preview."""

from pathlib import Path

import numpy as np

from pipeline.command import run
from segbench import params
from segbench.augmentation import Recipe, write_augmented
from segbench.datasets.prepared import Prepared
from segbench.report.figures import write_grid

PREVIEW_IMAGES = 3
PREVIEW_SAMPLES = 3


def main(*, dataset: str, prepared: Path, out: Path, preview: Path) -> None:
    """Augment one dataset's training images."""
    parameters = params.load()
    entry = parameters.dataset(dataset)
    recipe = Recipe(
        seed=parameters.augment.seed,
        copies=entry.copies,
        scale=entry.input.scale,
        crop_px=(entry.input.crop_px[0], entry.input.crop_px[1]),
        transforms=parameters.augment.transforms,
    )
    data = Prepared.open(prepared)
    write_augmented(recipe, data, out)

    augmentation = recipe.augmentation()
    num_images = len(data.split("train"))
    grid = []
    for index in np.linspace(0, num_images - 1, min(PREVIEW_IMAGES, num_images)).astype(int).tolist():
        samples = [
            recipe.sample(epoch * num_images + index, prepared=data, augmentation=augmentation)
            for epoch in range(PREVIEW_SAMPLES)
        ]
        grid.append([picture for image, labels in samples for picture in (image, data.classes.colorize(labels))])
    write_grid(preview, grid, headers=["sample", "truth"], classes=data.classes, cell_width_px=256)


if __name__ == "__main__":
    run(main)
