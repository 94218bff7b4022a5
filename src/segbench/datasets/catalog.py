"""From an entry of `datasets` in params.yaml to its source of images."""

from segbench import params
from segbench.datasets import camvid, scenes
from segbench.datasets.source import Source
from segbench.labels import Classes


def open_source(source: params.ScenesSource | params.CamvidSource) -> Source:
    """The source that an entry of `datasets` names. InputError if its files are not there."""
    match source:
        case params.ScenesSource():
            return scenes.open_source(
                seed=source.seed,
                width_px=source.width_px,
                height_px=source.height_px,
                num_images={"train": source.num_train, "val": source.num_val, "test": source.num_test},
            )
        case params.CamvidSource():
            return camvid.open_source(source.root)


def classes_of(source: params.ScenesSource | params.CamvidSource) -> Classes:
    """The classes that an entry of `datasets` has, without a look at its files."""
    match source:
        case params.ScenesSource():
            return scenes.CLASSES
        case params.CamvidSource():
            return camvid.CLASSES
