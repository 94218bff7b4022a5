"""Limits of a comparison: each is named where it is true of the data and of the models, and only there."""

from dataclasses import replace
from math import nan
from typing import Any

from segbench.datasets.prepared import Prepared
from segbench.report.pages.limits import limits
from segbench.report.table.content import Curve
from segbench.report.table.results import ModelResults
from segbench.scoring.blocks import Blocks
from tests.report.sample_results import INDEPENDENT, a_model, data, row


def topics(texts: tuple[str, ...]) -> list[str]:
    return [text.partition(":")[0] for text in texts]


def all_limits(of: Prepared, models: list[ModelResults], **known: Any) -> tuple[str, ...]:
    """With the blocks that the dataset has, unless told."""
    blocks = Blocks([row.block for row in of.split("test")], None, None, None)
    return limits(of, models, **{"blocks": blocks, **known})


def limit(topic: str, models: list[ModelResults], of: Prepared = INDEPENDENT, **known: Any) -> str:
    (text,) = (text for text in all_limits(of, models, **known) if text.startswith(f"{topic}:"))
    return text


def test_limits_are_those_of_the_data_and_the_trainings() -> None:
    models = [a_model(scale=0.5), a_model("fcn_8s", scale=0.5, machine="another")]
    texts = all_limits(data(seen=True, blocks=("clip", "clip")), models)
    assert topics(texts) == ["Split", "Validation", "Backbone", "Schedule", "Resolution", "Costs"]
    assert "1 of the 11 test images" in texts[0]
    assert "the 2 images are parts of only 1 group, which training images also come from." in texts[1]
    assert "all 2 models have resnet18" in texts[2]
    assert "40 epochs for all 2 networks" in texts[3]
    assert "0.5 of their size" in texts[4]
    assert "2 machines" in texts[5]


def test_what_does_not_limit_is_not_named() -> None:
    assert topics(all_limits(INDEPENDENT, [a_model()])) == ["Backbone", "Schedule"]


def test_a_backbone_is_said_of_the_models_that_have_it() -> None:
    models = [a_model("unet"), a_model("fcn_8s"), a_model("clusters", backbone="none", epochs=0)]
    assert "2 of 3 models have resnet18, the others have none" in limit("Backbone", models)
    assert topics(all_limits(INDEPENDENT, [models[2]])) == []
    models.append(a_model("paper_unet", backbone="vgg16", deviations={"backbone": "vgg16"}))
    text = limit("Backbones", models)
    assert text.endswith("resnet18 (unet and fcn_8s), vgg16 (paper_unet).")


def test_epochs_are_said_of_the_networks_that_have_them() -> None:
    models = [a_model("unet"), a_model("fcn_8s", epochs=80), a_model("pspnet"), a_model("clusters", epochs=0)]
    assert "40 epochs for unet and pspnet; 80 epochs for fcn_8s." in limit("Schedule", models)
    assert "40 epochs for all 2 networks." in limit("Schedule", [models[0], models[2], models[3]])


def test_blocks_of_one_group_are_not_independent() -> None:
    rows = [row("test", str(index), group="video", block=f"clip {index // 2}") for index in range(6)]
    rows = [row("train", "a", group="a", block="a"), *rows]
    one_video = replace(data(seen=False, blocks=("clip", "clip")), rows=tuple(rows))
    blocks = Blocks([row.block for row in one_video.split("test")], 1.7, 2.0, None)
    text = limit("Intervals", [a_model()], one_video, blocks=blocks, longer=1.26)
    assert "3 blocks of test images" in text
    assert "parts of 1 group. A block holds 2 images in a row, no fewer than the 1.7 whose errors resemble each" in text
    assert "With blocks twice as long, standard errors of mIoU are 1.3 times as large. No interval" in text
    short = limit("Intervals", [a_model()], one_video, blocks=replace(blocks, images_alike=3.2))
    assert "the errors of 3.2 images in a row resemble each other, but longer blocks would be too few. No" in short
    unknown = limit("Intervals", [a_model()], one_video, blocks=replace(blocks, images_alike=None))
    assert "parts of 1 group. No interval" in unknown


def test_few_test_images_are_named() -> None:
    for num_images, per_block, expected in ((5, 1, "only 5 test images"), (18, 2, "only 9 blocks of test images")):
        rows = [row("test", str(i), group=str(i // per_block), block=str(i // per_block)) for i in range(num_images)]
        few = replace(INDEPENDENT, rows=(row("train", "a", group="a", block="a"), *rows))
        assert expected in limit("Test images", [a_model()], few)


def test_models_that_still_learnt_are_named() -> None:
    epochs = (2, 4, 6, 8)
    curves = [
        Curve("unet", epochs, (nan, 0.50, 0.60, 0.63)),
        Curve("fcn_8s", epochs, (0.30, 0.64, 0.60, 0.65)),
        Curve("fcn_32s", (1,), (0.5,)),
    ]
    text = limit("Schedule", [a_model()], curves=curves)
    assert "On validation images, unet still gained more than 2 points" in text
    assert "no model gained much" in limit("Schedule", [a_model()], curves=curves[1:])
