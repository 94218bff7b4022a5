"""The sentences about the limits of a comparison."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from statistics import mean

import numpy as np

from segbench.datasets.prepared import Prepared
from segbench.datasets.source import SPLITS
from segbench.report.pages.listing import MOST_NAMED, by_value, listed, on_machines, with_models
from segbench.report.table.content import Curve, Entry
from segbench.report.table.numbers import counted, finite, percent, points, setting
from segbench.report.table.results import ModelResults
from segbench.report.table.suspects import Suspects
from segbench.scoring.blocks import LEAST_BLOCKS, Blocks

STILL_LEARNING = 0.02
"""Gain of mean IoU on validation images in the last quarter of the epochs."""
SAID_ELSEWHERE = ("epochs", "seeds")
NO_EFFECT = ("loader_workers", "validate_every_epochs")
"""Fields of `train` that change no score."""


def limits(
    data: Prepared, models: Sequence[ModelResults], *, blocks: Blocks, curves: Sequence[Curve] = (),
    longer: float | None = None, suspects: Suspects | None = None, entries: Sequence[Entry] = (),
) -> tuple[str, ...]:  # fmt: skip
    """What the comparison cannot tell, due to its images, their split, the backbones and the schedule.

    blocks: which test images the intervals take as one. longer: how many times as large standard errors of mIoU are
    with blocks twice as long, if known. suspects: test images that look mislabelled. entries: the best first.
    """
    networks = [model for model in models if not model.epochs.empty]
    return (
        *_limit_of_labels(suspects, entries),
        *_limits_of_split(data, blocks, longer),
        *_limit_of_backbones(models),
        *_limit_of_schedules(networks, curves),
        *_limit_of_settings(networks),
        *_limit_of_resolution(models),
        *_limit_of_latencies(models),
        *_limit_of_input_sizes(data),
        *_limits_of_machines(models),
    )


def cautions(data: Prepared, curves: Sequence[Curve], *, num_trainings: Mapping[str, int]) -> list[str]:
    """The limits that matter most to somebody who picks a model: sentences on what could change the order.

    num_trainings: of each model, with different seeds.
    """
    texts = []
    once = [model for model, number in num_trainings.items() if number == 1]
    if once and len(num_trainings) > 1:
        which = "Each model was" if len(once) == len(num_trainings) else f"{listed(once)} were"
        which = f"{once[0]} was" if len(once) == 1 else which
        texts.append(f"{which} trained once: trainings with other seeds may change the order of close models.")
    gains = _late_gains(curves)
    if still := _still_learning(gains):
        which = f"all {len(gains)} networks" if _are_many_and_all(still, gains) else listed(still)
        texts.append(
            f"In the last quarter of training, the validation mIoU of {which} rose by more than "
            f"{100 * STILL_LEARNING:g} points: more epochs may raise it further, and change the order."
        )
    return [*texts, *_limit_of_seen_groups(data)]


def _limit_of_labels(suspects: Suspects | None, entries: Sequence[Entry]) -> list[str]:
    if not suspects or not suspects.images:
        return []
    images = suspects.images
    looks = "1 test image looks" if len(images) == 1 else f"{len(images)} test images look"
    shares = " to ".join(dict.fromkeys(percent(image.share) for image in (images[-1], images[0])))
    without = f" {text}" if (text := _describe_without(entries, number=len(images))) else ""
    return [
        f"Labels: {looks} mislabelled: {listed([image.name for image in images])}. The better models "
        f"({listed(suspects.judges)}) agree with each other there and contradict the label map, in up to {shares} % of "
        f"the pixels against {percent(suspects.usual_share)} % in the median test image.{without} leave_out in "
        "params.yaml scores without an image."
    ]


def _describe_without(entries: Sequence[Entry], *, number: int) -> str:
    """What scores would be without the images that look mislabelled; empty if it is not known."""
    known = {entry: value for entry in entries if (value := finite(entry.mean_iou_without_doubtful)) is not None}
    if not known:
        return ""
    changes = sorted(value - entry.mean_iou.value for entry, value in known.items())
    by_how_much = " to ".join(dict.fromkeys(points(change) for change in (changes[0], changes[-1])))
    published = [entry for entry in known if entry.as_in_paper]
    places, places_without = (
        {entry.label: sum(of(other) > of(entry) for other in published) for entry in published}
        for of in (lambda entry: entry.mean_iou.value, known.__getitem__)
    )
    moved = [label for label, place in places.items() if places_without[label] != place]
    order = f"{listed(moved)} change places" if moved else "the models as published keep their order"
    return f"Without {'it' if number == 1 else 'them'}, mIoU changes by {by_how_much} points, and {order}."


def _limits_of_split(data: Prepared, blocks: Blocks, longer: float | None) -> list[str]:
    train, val, test = _groups_of_splits(data)
    val_images, test_images = data.split("val"), data.split("test")
    val_blocks, test_blocks = len({row.block for row in val_images}), blocks.number
    texts = [f"Split: {text}" for text in _limit_of_seen_groups(data)]
    if val_blocks < len(val_images) and len(val) < LEAST_BLOCKS:
        which = "which" if val <= train else f"{len(val & train)} of which"
        shared = f", {which} training images also come from" if val & train else ""
        texts.append(
            f"Validation: the {len(val_images)} images are parts of only {counted(len(val), 'group')}{shared}. "
            "Whatever is chosen on them, such as the CRF's parameters, is chosen on few scenes."
        )
    if len(test) < test_blocks < len(test_images):
        texts.append(
            f"Intervals: the bootstrap draws {test_blocks} blocks of test images as if they were independent, but they "
            f"are parts of {counted(len(test), 'group')}.{_describe_length(blocks, longer)} No interval includes how "
            "much scores could differ on other groups."
        )
    if 1 < test_blocks < LEAST_BLOCKS:
        drawn = "blocks of test images" if test_blocks < len(test_images) else "test images"
        texts.append(f"Test images: the intervals rest on only {test_blocks} {drawn}, so they are rough.")
    if test_blocks == 1:
        texts.append("Test images: the split is one block, so how much scores could differ on others is not known.")
    return texts


def _groups_of_splits(data: Prepared) -> list[set[str]]:
    return [{row.group for row in data.split(split)} for split in SPLITS]


def _limit_of_seen_groups(data: Prepared) -> list[str]:
    train, _, test = _groups_of_splits(data)
    images = data.split("test")
    seen = sum(row.group in train for row in images)
    if len(train | test) < 2 or not seen:
        return []
    come = "comes" if seen == 1 else "come"
    return [
        f"{seen} of {counted(len(images), 'test image')} {come} from groups, such as videos, that training images also "
        "come from. Scores on new groups may be lower."
    ]


def _describe_length(blocks: Blocks, longer: float | None) -> str:
    """How long the blocks are, how long they should be, and what longer ones would change; empty if not known."""
    if blocks.images_alike is None or blocks.images_per_block is None:
        return ""
    plural = "" if blocks.images_per_block == 1 else "s"
    texts = [f"A block holds {blocks.images_per_block:g} image{plural} in a row"]
    if blocks.images_alike <= 1:
        texts.append(", whose errors do not resemble each other more than those of other images.")
    elif blocks.images_alike <= blocks.images_per_block:
        texts.append(f", no fewer than the {blocks.images_alike:.1f} whose errors resemble each other.")
    else:
        texts.append(
            f"; the errors of {blocks.images_alike:.1f} images in a row resemble each other, but longer blocks would "
            "be too few."
        )
    if longer is not None and np.isfinite(longer):
        change = "hardly change" if 0.95 < longer < 1.05 else f"are {longer:.1f} times as large"
        texts.append(f" With blocks twice as long, standard errors of mIoU {change}.")
    return f" {''.join(texts)}"


def _limit_of_backbones(models: Sequence[ModelResults]) -> list[str]:
    backbones = by_value({model.name: _backbone(model.backbone) for model in models})
    without = backbones.pop(None, [])
    if len(backbones) > 1:
        kinds = with_models({model.name: _backbone(model.backbone) or "none" for model in models})
        return [f"Backbones: models have different ones, so scores compare more than architectures: {kinds}."]
    texts = []
    for name, of_name in backbones.items():
        share = "every model has" if len(of_name) > 1 else f"{listed(of_name)} has"
        if without:
            share = f"all models but {listed(without)} have" if len(of_name) > 1 else f"only {listed(of_name)} has"
        texts.append(f"Backbone: {share} {name}. An architecture that was made for a larger one may gain more from it.")
    return texts


def _backbone(backbone: Mapping[str, str] | None) -> str | None:
    if backbone is None:
        return None
    name, weights = backbone["name"], backbone["weights"]
    return f"{name} without pretrained weights" if weights == "none" else f"{name} with {weights} weights"


def _limit_of_schedules(networks: Sequence[ModelResults], curves: Sequence[Curve]) -> list[str]:
    epochs = by_value({network.name: network.settings["train"]["epochs"] for network in networks})
    if not epochs:
        return []
    numbers = "; ".join(f"{counted(number, 'epoch')} for {listed(of_number)}" for number, of_number in epochs.items())
    if len(epochs) == 1 < len(networks):
        (number,) = epochs
        numbers = f"{counted(number, 'epoch')} for each of {len(networks)} networks"
    is_repeated = any(len(network.seeds) > 1 for network in networks)
    return [" ".join([f"Schedule: {numbers}.", *_describe_progress(curves, is_repeated=is_repeated)])]


def _describe_progress(curves: Sequence[Curve], *, is_repeated: bool) -> Iterator[str]:
    """Which models more epochs could improve: the last quarter of them still added much.

    is_repeated: some models have several seeds.
    """
    gains = _late_gains(curves)
    unknown = [model for model, gain in gains.items() if gain is None]
    still = _still_learning(gains)
    on = "On validation images, in the mean over trainings," if is_repeated else "On validation images,"
    points = f"more than {100 * STILL_LEARNING:g} points in the last quarter of its epochs"
    if unknown:
        yield f"The validation scores do not tell whether {listed(unknown)} would gain from longer training."
    if still:
        effect = "change the order" if len(gains) > 1 else "raise its score"
        which = listed(still) if len(still) == 1 else f"each of {listed(still)}"
        which = "every network" if _are_many_and_all(still, gains) else which
        yield f"{on} {which} still gained {points}: longer training may {effect}."
    elif len(unknown) < len(gains):
        yield f"{on} {'no other' if unknown else 'no'} network gained {points}."


def _late_gains(curves: Sequence[Curve]) -> dict[str, float | None]:
    """By model, what the last quarter of the epochs added, in the mean over its trainings; None if not known of all."""
    of_models: dict[str, list[float | None]] = {}
    for curve in curves:
        of_models.setdefault(curve.model, []).append(curve.late_gain)
    known = {model: [gain for gain in gains if gain is not None] for model, gains in of_models.items()}
    return {
        model: mean(known[model]) if len(known[model]) == len(gains) else None for model, gains in of_models.items()
    }


def _still_learning(gains: Mapping[str, float | None]) -> list[str]:
    return [model for model, gain in gains.items() if (gain or 0.0) > STILL_LEARNING]


def _are_many_and_all(models: Sequence[str], networks: Collection[str]) -> bool:
    """Whether they are all networks, and too many to be named."""
    return len(models) == len(networks) > MOST_NAMED


def _limit_of_settings(networks: Sequence[ModelResults]) -> list[str]:
    differing = []
    found_by_all = set.intersection(*(set(network.searched) for network in networks)) if networks else set()
    for name in networks[0].settings["train"] if networks else ():
        values = {network.name: setting(network.settings["train"][name]) for network in networks}
        if name not in (*SAID_ELSEWHERE, *NO_EFFECT, *found_by_all) and len(set(values.values())) > 1:
            differing.append(f"{name} {with_models(values)}")
    if not differing:
        return []
    return [
        f"Settings: networks were not trained alike, so scores compare more than architectures: {'; '.join(differing)}."
    ]


def _limit_of_resolution(models: Sequence[ModelResults]) -> list[str]:
    scale = models[0].settings["samples"]["scale"]
    if scale >= 1:
        return []
    return [f"Resolution: models see the images at {scale:g} of their size, so thin objects are harder to find."]


def _limit_of_latencies(models: Sequence[ModelResults]) -> list[str]:
    """The CRF is timed in a stage of its own, which may have run elsewhere."""
    timed = [(model.latency.get("latency_device", ""), model.prediction["machine"]) for model in models]
    elsewhere = dict.fromkeys(machine for device, machine in timed if device not in machine)
    if not elsewhere:
        return []
    return [
        f"Costs: the CRF was timed on {'; '.join(elsewhere)}, not on the machine of the networks' latencies. With the "
        "CRF, a latency is the sum of the two."
    ]


def _limit_of_input_sizes(data: Prepared) -> list[str]:
    sizes = {(row.width_px, row.height_px) for row in data.split("test")}
    if len(sizes) < 2:
        return []
    return [
        f"Costs: the test images have {len(sizes)} sizes. A latency is the median over a few of them, and the network "
        "input that is named beside it is that of the first."
    ]


def _limits_of_machines(models: Sequence[ModelResults]) -> list[str]:
    trained = {model.name: model.trained_on for model in models}
    predicted = {model.name: model.prediction["machine"] for model in models}
    return [
        f"Costs: models {did} on machines of different kinds, so {costs} can be compared only between models of the "
        f"same kind: {on_machines(machines)}."
        for machines, did, costs in (
            (trained, "were trained", "training times"),
            (predicted, "predicted", "memory, and the time that the CRF adds,"),
        )
        if len(set(machines.values())) > 1
    ]
