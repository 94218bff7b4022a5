"""Prepared training images -> the augmented samples that every network sees, and a preview."""

from pathlib import Path

import numpy as np

from pipeline.command import run
from segbench import params
from segbench.augment.stream import Recipe, Stream, write_augmented
from segbench.datasets.prepared import Prepared
from segbench.report.drawing.figures import NO_CLASS, write_grid

PREVIEW_IMAGES = 3
PREVIEW_SAMPLES = 3


def main(*, dataset: str, prepared: Path, out: Path, preview: Path) -> None:
    """Write the stored samples and the recipe of one dataset, and a preview of them."""
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

    _write_preview(preview, recipe, data)


def _write_preview(path: Path, recipe: Recipe, data: Prepared) -> None:
    """One row per transform, an image and samples of that transform alone; then rows of images and their samples."""
    rows, original, stream = data.split("train"), recipe.original(), Stream(recipe, data)
    middle, shown = rows[len(rows) // 2], []
    image, label_map = data.image(middle), data.label_map(middle)
    for name, augmentation in recipe.each_alone():
        samples = [augmentation(image, label_map, seed=seed) for seed in range(PREVIEW_SAMPLES)]
        shown.append((name, original(image, label_map, seed=0), samples))
    for index in np.linspace(0, len(rows) - 1, min(PREVIEW_IMAGES, len(rows))).astype(int).tolist():
        samples = [stream(epoch * len(rows) + index) for epoch in range(PREVIEW_SAMPLES)]
        shown.append(("all", original(data.image(rows[index]), data.label_map(rows[index]), seed=0), samples))
    write_grid(
        path,
        [
            [picture for pixels, labels in (before, *after) for picture in (pixels, data.classes.colorize(labels))]
            for _, before, after in shown
        ],
        headers=["original", "truth"] + PREVIEW_SAMPLES * ["sample", "truth"],
        row_headers=[name for name, _, _ in shown],
        classes=data.classes,
        marks=NO_CLASS,
    )


if __name__ == "__main__":
    run(main)
