"""Limits of a comparison: each is named where it is true of the data and of the models, and only there."""

from dataclasses import replace
from math import nan
from typing import Any

import pytest

from segbench.datasets.prepared import Prepared
from segbench.report.pages.limits import cautions, limits
from segbench.report.table.content import Curve
from segbench.report.table.results import ModelResults
from segbench.report.table.suspects import Suspect, Suspects
from segbench.scoring.blocks import Blocks
from tests.report.pages.test_answer import an_entry_of
from tests.report.sample_results import INDEPENDENT, a_model, data, row


def topics(texts: tuple[str, ...]) -> list[str]:
    return [text.partition(":")[0] for text in texts]


def all_limits(of: Prepared, models: list[ModelResults], **known: Any) -> tuple[str, ...]:
    """With the blocks that the dataset has, unless told."""
    blocks = Blocks([row.block for row in of.split("test")], None, None, None)
    return limits(of, models, **{"blocks": blocks, **known})


def limit(topic: str, models: list[ModelResults], of: Prepared = INDEPENDENT, **known: Any) -> str:
    """The one text on a topic, empty without one."""
    texts = [text for text in all_limits(of, models, **known) if text.startswith(f"{topic}:")]
    assert len(texts) <= 1
    return texts[0] if texts else ""


def images(split: str, number: int, *, per_block: int = 1, group: str = "") -> list[Any]:
    """group: of all images; each block is a group of its own if it is empty."""
    blocks = [f"{split}{index // per_block}" for index in range(number)]
    return [row(split, str(index), group=group or block, block=block) for index, block in enumerate(blocks)]


def prepared(*rows: Any) -> Prepared:
    return replace(INDEPENDENT, rows=(row("train", "a", group="a", block="a"), *rows))


def test_limits_are_those_of_the_data_and_the_trainings() -> None:
    models = [a_model(scale=0.5), a_model("fcn_8s", scale=0.5, machine="another")]
    texts = all_limits(data(seen=True, blocks=("clip", "clip")), models)
    assert topics(texts) == ["Split", "Validation", "Backbone", "Schedule", "Resolution", "Costs", "Costs"]
    assert "1 of 11 test images comes from groups" in texts[0]
    assert "the 2 images are parts of only 1 group, which training images also come from." in texts[1]
    assert "every model has resnet18 with bundled weights." in texts[2]
    assert "40 epochs for each of 2 networks." in texts[3]
    assert "0.5 of their size" in texts[4]
    assert texts[5] == (
        "Costs: models were trained on machines of different kinds, so training times can be compared only between "
        "models of the same kind: fcn_8s on another; unet on one."
    )


def test_what_does_not_limit_is_not_named() -> None:
    assert topics(all_limits(INDEPENDENT, [a_model()])) == ["Backbone", "Schedule"]


def test_images_that_look_mislabelled_come_first() -> None:
    one = Suspects((Suspect("test/a", 0.4),), judges=("unet", "pspnet", "fcn_8s"), usual_share=0.05)
    (text, *_) = all_limits(INDEPENDENT, [a_model()], suspects=one)
    assert text == (
        "Labels: 1 test image looks mislabelled: test/a. The better models (unet, pspnet and fcn_8s) agree with each "
        "other there and contradict the label map, in up to 40.0 % of the pixels against 5.0 % in the median test "
        "image. leave_out in params.yaml scores without an image."
    )
    two = replace(one, images=(*one.images, Suspect("test/b", 0.2)))
    text = limit("Labels", [a_model()], suspects=two)
    assert "2 test images look mislabelled: test/a and test/b. " in text
    assert "contradict the label map, in up to 20.0 to 40.0 % of the pixels" in text


@pytest.mark.parametrize(
    ("without", "number", "expected"),
    [
        ((0.803, 0.70, 0.9), 1, "Without it, mIoU changes by 0.0 to +0.3 points, and the models as published keep"),
        ((0.801, 0.701, 0.901), 2, "Without them, mIoU changes by +0.1 points, and the models as published keep their"),
        ((0.79, 0.795, 0.9), 1, "Without it, mIoU changes by -1.0 to +9.5 points, and a and b change places. leave_"),
        ((None, None, None), 1, "5.0 % in the median test image. leave_out in params.yaml scores without an image."),
        ((nan, nan, nan), 1, "5.0 % in the median test image. leave_out in params.yaml scores without an image."),
    ],
)
def test_what_images_that_look_mislabelled_change(
    without: tuple[float | None, ...], number: int, expected: str
) -> None:
    """The third entry is another form of the first, which the order as published leaves out."""
    entries = [
        replace(an_entry_of("a", 0.8), mean_iou_without_doubtful=without[0]),
        replace(an_entry_of("b", 0.7), mean_iou_without_doubtful=without[1]),
        replace(an_entry_of("a", 0.9, crf=True, published=False), mean_iou_without_doubtful=without[2]),
    ]
    found = Suspects(number * (Suspect("test/a", 0.4),), judges=("unet",), usual_share=0.05)
    assert expected in limit("Labels", [a_model()], suspects=found, entries=entries)


CLUSTERS = a_model("clusters", backbone="none", epochs=0)
WINDOW = a_model("window", backbone="none")


@pytest.mark.parametrize(
    ("models", "expected"),
    [
        ([a_model()], "Backbone: unet has resnet18 with bundled weights. "),
        ([a_model(), a_model("fcn_8s")], "Backbone: every model has resnet18 with bundled weights. "),
        ([a_model(), CLUSTERS], "Backbone: only unet has resnet18 with bundled weights. "),
        (
            [a_model(), a_model("fcn_8s"), CLUSTERS, WINDOW],
            "Backbone: all models but clusters and window have resnet18 with bundled weights. ",
        ),
        ([a_model(weights="none")], "Backbone: unet has resnet18 without pretrained weights. "),
        ([CLUSTERS, WINDOW], ""),
    ],
)
def test_a_backbone_is_said_of_the_models_that_have_it(models: list[ModelResults], expected: str) -> None:
    assert limit("Backbone", models).startswith(expected)
    assert bool(limit("Backbone", models)) == bool(expected)
    assert not limit("Backbones", models)


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        (a_model("other", backbone="vgg16", weights="hub"), "vgg16 with hub weights (other)"),
        (a_model("other", weights="none"), "resnet18 without pretrained weights (other)"),
    ],
)
def test_backbones_or_weights_that_differ_are_not_one_backbone(other: ModelResults, expected: str) -> None:
    models = [a_model("unet"), a_model("fcn_8s"), other, CLUSTERS]
    kinds = f"resnet18 with bundled weights (unet and fcn_8s), {expected}, none (clusters)."
    assert limit("Backbones", models).endswith(f"so scores compare more than architectures: {kinds}")
    assert not limit("Backbone", models)


@pytest.mark.parametrize(
    ("models", "expected"),
    [
        ([a_model()], "Schedule: 40 epochs for unet."),
        ([a_model(epochs=1)], "Schedule: 1 epoch for unet."),
        ([a_model(), a_model("fcn_8s"), CLUSTERS], "Schedule: 40 epochs for each of 2 networks."),
        (
            [a_model(), a_model("fcn_8s", epochs=80), a_model("pspnet"), CLUSTERS],
            "Schedule: 40 epochs for unet and pspnet; 80 epochs for fcn_8s.",
        ),
        ([CLUSTERS], ""),
    ],
)
def test_epochs_are_said_of_the_networks_that_have_them(models: list[ModelResults], expected: str) -> None:
    assert limit("Schedule", models) == expected


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        ({}, ""),
        ({"loader_workers": 4}, ""),
        ({"lr": 0.5}, "lr 0.01 (unet and fcn_8s), 0.5 (own)."),
        ({"batch_size": 4}, "batch_size 8 (unet and fcn_8s), 4 (own)."),
        ({"loss": {"dice": 1.0, "focal": 0.5}}, "loss 1 dice (unet and fcn_8s), 1 dice + 0.5 focal (own)."),
        ({"rare_class_sampling": 0.5}, "rare_class_sampling 0 (unet and fcn_8s), 0.5 (own)."),
        ({"precision": "bfloat16"}, "precision float32 (unet and fcn_8s), bfloat16 (own)."),
        (
            {"batch_size": 4, "lr": 0.5},
            "batch_size 8 (unet and fcn_8s), 4 (own); lr 0.01 (unet and fcn_8s), 0.5 (own).",
        ),
    ],
)  # fmt: skip
def test_networks_that_were_not_trained_alike_are_named(own: dict[str, Any], expected: str) -> None:
    shared = {"loader_workers": 0}
    models = [a_model(train=shared), a_model("fcn_8s", train=shared), a_model("own", seeds=(9,), train=shared | own)]
    clusters = a_model("clusters", epochs=0, train={"lr": 7.0, "loader_workers": 0})
    text = limit("Settings", [*models, clusters])
    assert text.partition("than architectures: ")[2] == expected
    assert bool(text) == bool(expected)


@pytest.mark.parametrize(
    ("alike", "longer", "expected"),
    [
        (1.7, 1.26, "no fewer than the 1.7 whose errors resemble each other. With blocks twice as long, standard errors"
         " of mIoU are 1.3 times as large. No interval"),
        (1.7, 1.02, "each other. With blocks twice as long, standard errors of mIoU hardly change. No interval"),
        (3.2, nan, "A block holds 2 images in a row; the errors of 3.2 images in a row resemble each other, but longer "
         "blocks would be too few. No interval"),
        (3.2, None, "but longer blocks would be too few. No interval"),
        (1.0, 1.02, "A block holds 2 images in a row, whose errors do not resemble each other more than those of other "
         "images. With blocks"),
        (None, None, "parts of 1 group. No interval"),
    ],
)  # fmt: skip
def test_blocks_of_one_group_are_not_independent(alike: float | None, longer: float | None, expected: str) -> None:
    video = prepared(*images("test", 6, per_block=2, group="video"))
    blocks = Blocks([row.block for row in video.split("test")], alike, 2.0, None)
    text = limit("Intervals", [a_model()], video, blocks=blocks, longer=longer)
    assert "3 blocks of test images as if they were independent, but they are parts of 1 group." in text
    assert expected in text


def test_blocks_that_are_groups_may_be_independent() -> None:
    assert not limit("Intervals", [a_model()], prepared(*images("test", 6, per_block=2)), longer=1.26)


@pytest.mark.parametrize(
    ("num_images", "per_block", "expected"),
    [
        (5, 1, "the intervals rest on only 5 test images, so they are rough."),
        (18, 2, "the intervals rest on only 9 blocks of test images, so they are rough."),
        (1, 1, "the split is one block, so how much scores could differ on others is not known."),
        (20, 20, "the split is one block, so how much scores could differ on others is not known."),
        (10, 1, ""),
    ],
)
def test_few_test_images_are_named(num_images: int, per_block: int, expected: str) -> None:
    text = limit("Test images", [a_model()], prepared(*images("test", num_images, per_block=per_block)))
    assert text.removeprefix("Test images: ") == expected


@pytest.mark.parametrize(
    ("groups", "expected"),
    [
        (["a"], "the 2 images are parts of only 1 group, which training images also come from. "),
        (["a", "b"], "the 4 images are parts of only 2 groups, 1 of which training images also come from. "),
        (["b"], "the 2 images are parts of only 1 group. "),
        ([f"group {index}" for index in range(10)], ""),
    ],
)
def test_few_groups_of_validation_images_are_named(groups: list[str], expected: str) -> None:
    rows = [row("val", f"{group}{frame}", group=group, block=group) for group in groups for frame in range(2)]
    text = limit("Validation", [a_model()], prepared(*rows, *images("test", 10)))
    assert text.removeprefix("Validation: ").startswith(expected) and bool(text) == bool(expected)


@pytest.mark.parametrize(
    ("num_seen", "expected"), [(0, ""), (1, "1 of 3 test images comes"), (2, "2 of 3 test images come")]
)
def test_test_images_of_training_groups_are_counted(num_seen: int, expected: str) -> None:
    rows = [row("test", str(index), group="a" if index < num_seen else "b", block=str(index)) for index in range(3)]
    text = limit("Split", [a_model()], prepared(*rows))
    assert text.removeprefix("Split: ").startswith(expected) and bool(text) == bool(expected)


@pytest.mark.parametrize(("scale", "expected"), [(0.5, "at 0.5 of their size"), (1.0, ""), (2.0, "")])
def test_images_that_are_reduced_are_said_to_be(scale: float, expected: str) -> None:
    text = limit("Resolution", [a_model(scale=scale)])
    assert expected in text and bool(text) == bool(expected)


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        (a_model("fcn_8s"), []),
        (a_model("fcn_8s", machine="two", predicted_on="one"), ["training times can be compared"]),
        (a_model("fcn_8s", machine="one, two", predicted_on="one"), ["training times can be compared"]),
        (a_model("fcn_8s", predicted_on="a GPU"), ["so memory, and the time that the CRF adds, can be compared"]),
    ],
)
def test_costs_are_compared_on_one_machine(other: ModelResults, expected: list[str]) -> None:
    texts = [text for text in all_limits(INDEPENDENT, [a_model(), other]) if text.startswith("Costs:")]
    assert len(texts) == len(expected)
    for text, part in zip(texts, expected, strict=True):
        assert part in text


def test_a_crf_that_was_timed_elsewhere_than_the_networks_is_named() -> None:
    def with_latency(device: str) -> ModelResults:
        return replace(a_model(machine="A GPU of ours, 2 cores"), latency={"latency_device": device})

    assert not limit("Costs", [with_latency("A GPU")])
    text = limit("Costs", [with_latency("A phone")])
    assert text.startswith("Costs: the CRF was timed on A GPU of ours, 2 cores, not on the machine of the networks'")


def test_latencies_of_images_of_several_sizes_say_so() -> None:
    rows = [row("test", str(index), group="a", block="a", height_px=2 + index // 2) for index in range(4)]
    assert "the test images have 2 sizes" in limit("Costs", [a_model()], prepared(*rows))
    assert not limit("Costs", [a_model()], prepared(*rows[:2]))


EPOCHS = (2, 4, 6, 8)
STILL = Curve("unet", EPOCHS, (nan, 0.50, 0.60, 0.63))
LEVEL = Curve("fcn_8s", EPOCHS, (0.30, 0.64, 0.60, 0.65))
RARE = Curve("pspnet", (2, 4, 6, 8, 10), (0.5, 0.6, 0.7, 0.712, 0.72))
"""Its last quarter begins between two validated epochs: 0.75 of the rise from 0.7 to 0.712 came before."""
SHORT = Curve("fcn_32s", (1,), (0.5,))
BLIND = Curve("blind", EPOCHS, (nan, nan, nan, nan))


@pytest.mark.parametrize(
    ("curves", "expected"),
    [
        (
            [STILL, LEVEL],
            "On validation images, unet still gained more than 2 points in the last quarter of its epochs: longer "
            "training may change the order.",
        ),
        (
            [STILL],
            "On validation images, unet still gained more than 2 points in the last quarter of its epochs: longer "
            "training may raise its score.",
        ),
        (
            [replace(STILL, model=f"unet {width}") for width in range(6)],
            "On validation images, every network still gained more than 2 points in the last quarter of its epochs: "
            "longer training may change the order.",
        ),
        ([RARE], "On validation images, no network gained more than 2 points in the last quarter of its epochs."),
        ([LEVEL], "On validation images, no network gained more than 2 points in the last quarter of its epochs."),
        (
            [LEVEL, SHORT],
            "The validation scores do not tell whether fcn_32s would gain from longer training. On validation images, "
            "no other network gained more than 2 points in the last quarter of its epochs.",
        ),
        ([SHORT], "The validation scores do not tell whether fcn_32s would gain from longer training."),
        ([BLIND], "The validation scores do not tell whether blind would gain from longer training."),
    ],
)
def test_models_that_still_learnt_are_named(curves: list[Curve], expected: str) -> None:
    text = limit("Schedule", [a_model(seeds=(0,))], curves=curves)
    assert text == f"Schedule: 40 epochs for unet. {expected}"


def test_of_several_trainings_the_mean_gain_counts() -> None:
    falling, level = replace(STILL, mean_iou=(nan, 0.50, 0.60, 0.59)), replace(LEVEL, model="unet")
    text = limit("Schedule", [a_model(seeds=(0, 1))], curves=[STILL, falling])
    assert "On validation images, in the mean over trainings, no network gained" in text
    text = limit("Schedule", [a_model(seeds=(0, 1))], curves=[falling, STILL, STILL, STILL])
    assert "On validation images, in the mean over trainings, unet still gained" in text
    text = limit("Schedule", [a_model(seeds=(0, 1))], curves=[level, replace(BLIND, model="unet")])
    assert "do not tell whether unet would gain" in text
    names = [f"net {number}" for number in range(6)]
    twice = [Curve(name, (1, 2, 3, 4), (0.1, 0.2, 0.3, 0.5)) for name in names for _ in range(2)]
    (text,) = cautions(INDEPENDENT, twice, num_trainings=dict.fromkeys(names, 2))
    assert "the validation mIoU of all 6 networks rose" in text


def test_values_that_a_search_found_for_each_network_are_not_a_difference_in_treatment() -> None:
    def found(name: str, lr: float) -> ModelResults:
        model = a_model(name, train={"lr": lr})
        return replace(model, training=model.training | {"search": {"best": {"lr": lr}}})

    assert not limit("Settings", [found("unet", 0.1), found("fcn_8s", 0.2)])
    assert "lr 0.1 (unet), 0.01 (fcn_8s)" in limit("Settings", [found("unet", 0.1), a_model("fcn_8s")])


@pytest.mark.parametrize(
    ("num_trainings", "expected"),
    [
        ({"unet": 1}, []),
        ({"unet": 1, "fcn_8s": 1}, ["Each model was trained once: trainings with other seeds may change the order of"]),
        ({"unet": 3, "fcn_8s": 1}, ["fcn_8s was trained once: "]),
        ({"unet": 3, "fcn_8s": 1, "pspnet": 1}, ["fcn_8s and pspnet were trained once: "]),
        ({"unet": 3, "fcn_8s": 3}, []),
    ],
)
def test_a_reader_is_warned_of_single_trainings(num_trainings: dict[str, int], expected: list[str]) -> None:
    found = cautions(INDEPENDENT, [], num_trainings=num_trainings)
    assert len(found) == len(expected) and all(map(str.startswith, found, expected))


def test_all_of_many_networks_are_told_by_their_number() -> None:
    names = ["fcn_32s", "fcn_16s", "fcn_8s", "unet", "pspnet", "deeplab_v1"]
    curves = [Curve(name, (1, 2, 3, 4), (0.1, 0.2, 0.3, 0.5)) for name in names]
    (text,) = cautions(INDEPENDENT, curves, num_trainings=dict.fromkeys(names, 3))
    assert "the validation mIoU of all 6 networks rose" in text
    level = Curve("deeplab_v2", (1, 2, 3, 4), (0.1, 0.2, 0.3, 0.31))
    (text,) = cautions(INDEPENDENT, [*curves, level], num_trainings=dict.fromkeys(names, 3))
    assert "the validation mIoU of fcn_32s, fcn_16s, fcn_8s, unet, pspnet and 1 more rose" in text


def test_a_reader_is_warned_of_unfinished_trainings_and_of_groups_in_two_splits() -> None:
    curves = [Curve("unet", (1, 2, 3, 4), (0.1, 0.2, 0.3, 0.5)), Curve("fcn_8s", (1, 2, 3, 4), (0.1, 0.2, 0.3, 0.31))]
    unfinished, seen = cautions(
        data(seen=True, blocks=("clip", "clip")), curves, num_trainings={"unet": 3, "fcn_8s": 3}
    )
    assert unfinished.startswith(
        "In the last quarter of training, the validation mIoU of unet rose by more than 2 point"
    )
    assert seen.startswith("1 of 11 test images comes from groups")
