"""The sentences about the limits of a comparison."""

from collections.abc import Collection, Sequence

import numpy as np

from segbench.datasets.prepared import Prepared
from segbench.datasets.source import SPLITS
from segbench.report.pages.listing import by_value, listed
from segbench.report.table.content import Curve
from segbench.report.table.results import ModelResults
from segbench.scoring.blocks import LEAST_BLOCKS, Blocks

STILL_LEARNING = 0.02
"""Gain of mean IoU on validation images in the last quarter of the epochs."""


def limits(
    data: Prepared, models: Sequence[ModelResults], *, blocks: Blocks, curves: Sequence[Curve] = (),
    longer: float | None = None,
) -> tuple[str, ...]:  # fmt: skip
    """What the comparison cannot tell, due to its images, their split, the backbones and the schedule.

    blocks: which test images the intervals take as one. longer: how many times as large standard errors of mIoU are
    with blocks twice as long, if known.
    """
    texts = [
        *_limits_of_split(data, blocks, longer),
        *_limit_of_backbones(models),
        *_limit_of_schedules(models, curves),
    ]
    scale = models[0].settings["samples"]["scale"]
    if scale < 1:
        texts.append(
            f"Resolution: models see the images at {scale:g} of their size, so thin objects are hard for every model."
        )
    machines = {model.training["machine"] for model in models}
    if len(machines) > 1:
        texts.append(
            f"Costs: models were trained on {len(machines)} machines, so times can be compared only between models of "
            "the same machine."
        )
    return tuple(texts)


def _limits_of_split(data: Prepared, blocks: Blocks, longer: float | None) -> list[str]:
    train, val, test = ({row.group for row in data.split(split)} for split in SPLITS)
    val_images, test_images = data.split("val"), data.split("test")
    val_blocks, test_blocks = len({row.block for row in val_images}), blocks.number
    seen = sum(row.group in train for row in test_images)
    texts = []
    if len(train | test) > 1 and seen:
        texts.append(
            f"Split: {seen} of the {len(test_images)} test images come from groups, such as videos, that training "
            "images also come from. Scores on new groups may be lower."
        )
    if val_blocks < len(val_images):
        texts.append(
            f"Validation: the {len(val_images)} images are parts of only {_counted(val, 'group')}"
            f"{', which training images also come from' if val <= train else ''}. Whatever is chosen on them, such as "
            "the CRF's parameters, is chosen on few scenes."
        )
    if len(test) < test_blocks < len(test_images):
        texts.append(
            f"Intervals: the bootstrap draws {test_blocks} blocks of test images as if they were independent, but they "
            f"are parts of {_counted(test, 'group')}.{_describe_length(blocks, longer)} No interval includes how much "
            "scores could differ on other groups."
        )
    if test_blocks < LEAST_BLOCKS:
        drawn = "blocks of test images" if test_blocks < len(test_images) else "test images"
        texts.append(f"Test images: the intervals rest on only {test_blocks} {drawn}, so they are rough.")
    return texts


def _describe_length(blocks: Blocks, longer: float | None) -> str:
    """How long the blocks are, how long they should be, and what longer ones would change; empty if not known."""
    if blocks.images_alike is None or blocks.images_per_block is None:
        return ""
    texts = [f"A block holds {blocks.images_per_block:g} images in a row"]
    if blocks.images_alike <= blocks.images_per_block:
        texts.append(f", no fewer than the {blocks.images_alike:.1f} whose errors resemble each other.")
    else:
        texts.append(
            f"; the errors of {blocks.images_alike:.1f} images in a row resemble each other, but longer blocks would "
            "be too few."
        )
    if longer:
        texts.append(f" With blocks twice as long, standard errors of mIoU are {longer:.1f} times as large.")
    return f" {''.join(texts)}"


def _limit_of_backbones(models: Sequence[ModelResults]) -> list[str]:
    backbones = by_value({model.name: model.backbone["name"] for model in models if model.backbone})
    if len(backbones) > 1:
        named = ", ".join(f"{name} ({listed(of_name)})" for name, of_name in backbones.items())
        return [f"Backbones: models have different ones, so scores compare more than architectures: {named}."]
    texts = []
    for name, of_name in backbones.items():
        number, total = len(of_name), len(models)
        share = f"all {total} models have {name}"
        if number < total:
            share = f"{number} of {total} models have {name}, the others have none"
        texts.append(f"Backbone: {share}. An architecture that was made for a larger backbone may gain more from one.")
    return texts


def _limit_of_schedules(models: Sequence[ModelResults], curves: Sequence[Curve]) -> list[str]:
    epochs = by_value({model.name: model.settings["train"]["epochs"] for model in models if not model.epochs.empty})
    if not epochs:
        return []
    if len(epochs) == 1:
        (number,), (networks,) = epochs.keys(), epochs.values()
        numbers = f"{number} epochs for {'the network' if len(networks) == 1 else f'all {len(networks)} networks'}"
    else:
        numbers = "; ".join(f"{number} epochs for {listed(networks)}" for number, networks in epochs.items())
    return [f"Schedule: {numbers}. {_describe_progress(curves)}"]


def _describe_progress(curves: Sequence[Curve]) -> str:
    """Which models more epochs could improve: their last one is far better than any in the first three quarters."""
    still = []
    for curve in curves:
        mean_iou = np.array(curve.mean_iou)
        before = mean_iou[np.array(curve.epochs) <= 0.75 * curve.epochs[-1]]
        if np.isfinite(before).any() and mean_iou[-1] - np.nanmax(before) > STILL_LEARNING:
            still.append(curve.model)
    if not still:
        return "On validation images, no model gained much in the last quarter of its epochs."
    return (
        f"On validation images, {listed(still)} still gained more than {100 * STILL_LEARNING:g} points in the last "
        "quarter of the epochs: longer training may change the order."
    )


def _counted(things: Collection[str], name: str) -> str:
    return f"{len(things)} {name}{'s' * (len(things) != 1)}"
