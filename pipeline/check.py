"""params.yaml is valid: checked before any stage starts, since DVC deletes a stage's outputs when it starts."""

from collections.abc import Sequence
from pathlib import Path

from pipeline.command import run
from segbench import params
from segbench.datasets.catalog import classes_of
from segbench.errors import InputError
from segbench.files import replacing
from segbench.transforms import Augmentation


def main(*, out: Path) -> None:
    """Validate params.yaml and write a file that never changes, so that later stages do not rerun for it."""
    parameters = params.load()
    for name in parameters.benchmark.datasets:
        dataset = parameters.dataset(name)
        height, width = dataset.input.crop_px
        Augmentation(parameters.augment.transforms, scale=dataset.input.scale, crop_px=(height, width))
        _check_classes(name, dataset.lecture, known=classes_of(dataset.source).names)
    _check_backbones(parameters)
    with replacing(out) as temporary:
        temporary.write_text("params.yaml is valid\n")


def _check_backbones(parameters: params.Params) -> None:
    """Build, without numbers, what has another backbone than the bundled one, which is known to fit all."""
    others = [
        (name, backbone)
        for name in parameters.benchmark.models
        if isinstance(parameters.model(name), params.BackboneModel)
        and (backbone := parameters.backbone_for(name)).weights != "bundled"
    ]
    if not others:
        return
    import torch

    from segbench import zoo

    with torch.device("meta"):
        for name, backbone in others:
            untrained = backbone.model_copy(update={"weights": "none"})
            zoo.build(parameters.model(name), backbone=untrained, num_classes=2)


def _check_classes(dataset: str, lecture: params.Lecture, *, known: Sequence[str]) -> None:
    for key, names in lecture.model_dump().items():
        for name in names:
            if name not in known:
                raise InputError(
                    f"params.yaml: datasets.{dataset}.lecture.{key} names {name}; it must be one of {', '.join(known)}"
                )


if __name__ == "__main__":
    run(main)
