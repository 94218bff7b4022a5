"""params.yaml is valid: checked before any stage starts, since DVC deletes a stage's outputs when it starts."""

from pathlib import Path

from pipeline.command import run
from segbench import params
from segbench.augmentation import Augmentation
from segbench.files import replacing


def main(*, out: Path) -> None:
    """Validate params.yaml and write a file that never changes, so that later stages do not rerun for it."""
    parameters = params.load()
    for name in parameters.benchmark.datasets:
        size = parameters.dataset(name).input
        height, width = size.crop_px
        Augmentation(parameters.augment.transforms, scale=size.scale, crop_px=(height, width))
    with replacing(out) as temporary:
        temporary.write_text("params.yaml is valid\n")


if __name__ == "__main__":
    run(main)
