"""What reports say of their limits: what is true of the data and of the trainings, and nothing else."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from segbench.datasets.prepared import Prepared, Row
from segbench.labels import Classes
from segbench.report.drawing.pictures import MAX_IMAGES
from segbench.report.pages.wording import crf_choices, limits, of_crf_choices, of_pictures
from segbench.report.table.content import Curve
from segbench.report.table.results import ModelResults


def row(split: str, name: str, *, group: str, block: str, height_px: int = 2) -> Row:
    return Row(
        split=split, name=name, group=group, block=block, height_px=height_px, width_px=2, class_pixels=(4,),
        ignored_pixels=0, image_digest=name, label_digest=name, perceptual_hash=0,
    )  # fmt: skip


def data(*, seen: bool, blocks: tuple[str, str]) -> Prepared:
    """seen: training images are of the groups of validation and test images. blocks: of two images of each.

    Eight more test images are of a group each, so that there are not few.
    """
    rows = (
        row("train", "a", group="first", block="a"),
        *(row("val", f"b{block}", group="first" if seen else "third", block=block) for block in blocks),
        row("test", "a", group="first" if seen else "second", block="a"),
        *(row("test", f"d{index}", group="second", block=block) for index, block in enumerate(blocks)),
        *(row("test", f"e{index}", group=f"e{index}", block=f"e{index}") for index in range(8)),
    )
    return Prepared(Path(), Classes.of([("all", (0, 0, 0))]), fingerprint="", rows=rows)


def training(*, num_seeds: int, scale: float, machine: str = "one") -> dict[str, Any]:
    settings = {"samples": {"scale": scale}, "backbone": {"name": "resnet18"}, "train": {"epochs": 40}}
    return {"deviations": {}, "settings": settings, "trainings": [{}] * num_seeds, "machine": machine}


def test_limits_are_those_of_the_data_and_the_trainings() -> None:
    trainings = [training(num_seeds=1, scale=0.5), training(num_seeds=3, scale=0.5, machine="another")]
    texts = limits(data(seen=True, blocks=("clip", "clip")), trainings)
    assert [text.partition(":")[0] for text in texts] == [
        "Split", "Validation", "Backbone", "Schedule", "Resolution", "Costs", "Seeds",
    ]  # fmt: skip
    assert "1 of the 11 test images" in texts[0]
    assert "2 images, pieces of 1 group, of which training images are too." in texts[1]
    assert "resnet18" in texts[2]
    assert "40 epochs" in texts[3]
    assert "0.5 of their size" in texts[4]
    assert "2 machines" in texts[5]
    assert "1 of 2 models" in texts[6]


def test_blocks_of_one_group_are_not_independent() -> None:
    rows = [row("test", str(index), group="video", block=f"clip {index // 2}") for index in range(6)]
    rows = [row("train", "a", group="a", block="a"), *rows]
    one_video = replace(data(seen=False, blocks=("clip", "clip")), rows=tuple(rows))
    (text,) = (
        text for text in limits(one_video, [training(num_seeds=3, scale=1.0)], joined=1.26) if "Intervals" in text
    )
    assert "3 blocks of test images" in text
    assert "pieces of 1 group. With neighbours joined in pairs, errors of mIoU are 1.3 times as large." in text


def test_few_test_images_are_named() -> None:
    for num_images, per_block, expected in ((5, 1, "only 5 test images"), (18, 2, "only 9 blocks of test images")):
        rows = [row("test", str(i), group=str(i // per_block), block=str(i // per_block)) for i in range(num_images)]
        few = replace(data(seen=False, blocks=("b", "c")), rows=(row("train", "a", group="a", block="a"), *rows))
        (text,) = (text for text in limits(few, [training(num_seeds=3, scale=1.0)]) if text.startswith("Test images"))
        assert expected in text


def test_models_that_still_learnt_are_named() -> None:
    epochs = (2, 4, 6, 8)
    curves = [
        Curve("unet", epochs, (None, 0.50, 0.60, 0.63)),
        Curve("fcn_8s", epochs, (0.30, 0.64, 0.60, 0.65)),
        Curve("fcn_32s", (1,), (0.5,)),
    ]
    (text,) = (
        text
        for text in limits(data(seen=False, blocks=("b", "c")), [training(num_seeds=3, scale=1.0)], curves=curves)
        if "Schedule" in text
    )
    assert "On validation images, unet still gained more than 2 points" in text


def test_what_does_not_limit_is_not_named() -> None:
    texts = limits(data(seen=False, blocks=("b", "c")), [training(num_seeds=2, scale=1.0)])
    assert [text.partition(":")[0] for text in texts] == ["Backbone", "Schedule"]


def searched(name: str, *, best: float) -> ModelResults:
    found = {"appearance_weight": 13.81, "steps": 5}
    search = {
        "objective": "mean_iou", "num_images": 15, "score_without": 0.5,
        "best": {"score": best, "parameters": found}, "chosen": found if best > 0.5 else None,
    }  # fmt: skip
    return ModelResults(name, training={}, prediction={}, crf=search, counts={}, epochs=(), ends_with_crf=False)


def test_a_crf_that_does_not_help_has_no_parameters() -> None:
    models = [searched("unet", best=0.52), searched("fcn_8s", best=0.49)]
    assert crf_choices(models) == (
        ("Model", "gain, points", "appearance_weight", "steps"),
        ("unet", "+2.0", "13.8", "5"),
        ("fcn_8s", "-1.0", "\N{EN DASH}", "\N{EN DASH}"),
    )
    assert "chosen by mIoU of 15 validation images" in of_crf_choices(models)


def test_pictures_that_are_a_choice_or_reduced_are_said_to_be() -> None:
    few = data(seen=False, blocks=("b", "c"))
    assert of_pictures(few) == "By the mean IoU of the image, over all entries."
    many = [row("test", str(index), group="g", block="b", height_px=481) for index in range(MAX_IMAGES + 1)]
    text = of_pictures(replace(few, rows=tuple(many)))
    assert text.endswith("They are out of 100, evenly spaced. Larger ones are reduced to 480 px.")
