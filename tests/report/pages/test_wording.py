"""The sentences of reports, from entries and settings for which they are known."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import nan

import numpy as np
import pytest

from segbench.datasets.prepared import Row
from segbench.labels import Classes
from segbench.report.drawing.pictures import MAX_IMAGES
from segbench.report.pages.listing import describe_trainings
from segbench.report.pages.wording import (
    crf_choices,
    describe_averaging,
    describe_crf_choices,
    describe_dataset,
    describe_doubts,
    describe_first_seeds,
    describe_groups,
    describe_intervals,
    describe_matrices,
    describe_test_images,
    describe_times,
)
from segbench.report.table.comparison import MEAN_IOU, Comparison
from segbench.report.table.content import Entry
from segbench.report.table.numbers import MISSING
from segbench.report.table.results import ModelResults
from segbench.report.table.suspects import Suspect, Suspects
from segbench.scoring.blocks import Blocks
from segbench.scoring.intervals import Difference, Interval, Pair
from tests.report.sample_pages import an_entry
from tests.report.sample_results import INDEPENDENT, a_model, row


def test_how_times_were_measured_is_said_of_those_that_there_are() -> None:
    entry = an_entry("unet", crf=False, place=1, num_classes=2, is_external=False)
    assert entry.costs
    untimed = replace(entry, costs=replace(entry.costs, latency_ms=None))
    unknown = replace(entry, costs=replace(entry.costs, latency_ms=None, training_seconds=nan))
    external = an_entry("theirs", crf=False, place=1, num_classes=2, is_external=True)
    assert describe_times([external, entry]).startswith("Latencies were measured with all models in turn")
    assert "training once per seed" in describe_times([entry])
    assert describe_times([untimed]).startswith("The CRF was timed once per model")
    assert describe_times([external, unknown]) == ""


def searched(name: str, *, best: float) -> ModelResults:
    found = {"appearance_weight": 13.81, "steps": 5}
    search = {
        "objective": "mean_iou", "num_images": 15, "score_without": 0.5,
        "best": {"score": best, "parameters": found}, "chosen": found if best > 0.5 else None,
    }  # fmt: skip
    return replace(a_model(name), crf=search)


def test_a_crf_that_does_not_help_has_no_parameters() -> None:
    models = [searched("unet", best=0.52), searched("fcn_8s", best=0.49)]
    assert crf_choices(models) == (
        ("Model", "gain, points", "appearance_weight", "steps"),
        ("unet", "+2.0", "13.8", "5"),
        ("fcn_8s", "-1.0", MISSING, MISSING),
    )


@pytest.mark.parametrize(
    ("scores", "objective", "num_images", "expected"),
    [
        (
            (0.52, 0.51),
            "mean_iou",
            15,
            "the highest mIoU of all that were tried on 15 validation images, and the gain of mIoU",
        ),
        (
            (0.52, 0.51),
            "pixel_accuracy",
            1,
            "the highest aAcc of all that were tried on 1 validation image, and the gain of aAcc",
        ),
        (
            (0.52, 0.50),
            "mean_iou",
            15,
            f"{MISSING}: none raised it, so the CRF leaves the label maps of fcn_8s as they",
        ),
        ((0.49, 0.50), "mean_iou", 15, "the CRF leaves the label maps of unet and fcn_8s as they are."),
    ],
)
def test_what_the_crf_was_chosen_by(
    scores: tuple[float, float], objective: str, num_images: int, expected: str
) -> None:
    models = [searched(name, best=best) for name, best in zip(("unet", "fcn_8s"), scores, strict=True)]
    models = [replace(m, crf={**m.crf, "objective": objective, "num_images": num_images}) for m in models]
    text = describe_crf_choices(models)
    assert expected in text
    assert ("as they are" in text) == (min(scores) <= 0.5)


def test_pictures_that_are_a_choice_or_reduced_are_said_to_be() -> None:
    order = "The score beside an image's name is its own mIoU, averaged over all entries."
    assert describe_test_images(INDEPENDENT) == order
    assert describe_test_images(replace(INDEPENDENT, rows=(row("test", "a", group="g", block="b"),))) == ""
    many = [row("test", str(index), group="g", block="b", height_px=481) for index in range(MAX_IMAGES + 1)]
    text = describe_test_images(replace(INDEPENDENT, rows=tuple(many)))
    assert text.endswith("Candidates are 100 evenly spaced test images. Larger images are reduced to 480 px.")


def test_why_a_label_map_may_be_wrong_is_said_of_each_such_image() -> None:
    images = (Suspect("test/a", 0.4), Suspect("test/b", 0.2))
    found = describe_doubts(Suspects(images, judges=("unet", "pspnet", "fcn_8s"), usual_share=0.05))
    assert found.keys() == {"test/a", "test/b"}
    assert found["test/b"] == (
        "Check the label of this image. The better models (unet, pspnet and fcn_8s) agree with each other here and "
        "contradict the label map, in up to 20.0 % of the pixels; in the median test image it is 5.0 %."
    )
    assert describe_doubts(Suspects()) == {}


def test_images_that_scores_leave_out_are_named_beside_how_many_there_were() -> None:
    about = "streets: 16 train, 2 val, 11 test images of 2x2 px, 1 class. The table's scores are of the test split."
    assert describe_dataset("streets", INDEPENDENT, left_out=()) == about
    assert describe_dataset("streets", INDEPENDENT, left_out=["test/x"]) == (
        f"{about} Scores are made without 1 of 12 test images, as params.yaml says: test/x."
    )


def of_classes(group: str, *class_pixels: int) -> Row:
    return replace(row("test", group, group=group, block=group), class_pixels=class_pixels)


def test_groups_are_told_by_the_classes_that_they_hold_and_the_one_that_differs_most() -> None:
    classes = Classes.of([(name, (0, 0, number)) for number, name in enumerate(("road", "car", "boat", "sky", "ox"))])
    rows = (of_classes("a", 50, 9, 7, 4, 0), of_classes("b", 50, 1, 0, 4, 0), of_classes("b", 0, 0, 0, 4, 0))
    data = replace(INDEPENDENT, classes=classes, rows=rows)
    best = replace(an_entry_of("unet", place=2), group_class_iou=((0.9, 0.5, 0.7, 0.8, 0), (0.8, 0.2, 0, 0.75, nan)))
    refined = an_entry_of("unet", place=1, crf=True, as_in_paper=False)
    assert describe_groups(data, [refined, best]) == (
        "The groups' mIoU need not average to that of all test images: each is a mean over the classes of its own "
        "images, in which a class counts the same, however few of its pixels are there. Of the 4 classes in the test "
        "images, the groups hold: a 4 and b 3. Only a has boat. Where a model predicts a class that a group's images "
        "do not hold, the class counts as 0 there. unet's IoU differs most for car: 50.0\N{NO-BREAK SPACE}% in a, "
        "which has 90.0\N{NO-BREAK SPACE}% of its pixels, and 20.0\N{NO-BREAK SPACE}% in b."
    )
    assert describe_groups(replace(data, rows=rows[:1]), [best]) == ""


def test_a_group_without_a_class_is_not_where_it_differs() -> None:
    classes = Classes.of([("sky", (0, 0, 0)), ("car", (0, 0, 1))])
    rows = (of_classes("a", 50, 9), of_classes("b", 50, 1), of_classes("c", 50, 0))
    best = replace(an_entry_of("unet", place=1), group_class_iou=((0.8, 0.5), (0.7, 0.45), (0.6, 0.0)))
    text = describe_groups(replace(INDEPENDENT, classes=classes, rows=rows), [best])
    assert "hold: a 2, b 2 and c 1. Where" in text
    assert "differs most for sky: 80.0\N{NO-BREAK SPACE}% in a" in text and "60.0\N{NO-BREAK SPACE}% in c." in text


def test_groups_of_the_same_classes_are_not_told_apart_by_them() -> None:
    classes = Classes.of([("road", (0, 0, 0)), ("car", (0, 0, 1))])
    rows = (of_classes("a", 50, 9), of_classes("b", 50, 1))
    best = replace(an_entry_of("unet", place=1), group_class_iou=((0.9, 0.5), (0.8, 0.2)))
    text = describe_groups(replace(INDEPENDENT, classes=classes, rows=rows), [best])
    assert "Every group holds all 2 classes of the test images. unet's IoU" in text


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        ("", ""),
        ("abc", ""),
        ("a", "from a, but not from b and c: unet has a higher IoU in a for 1 of the 2 classes that both have. "
              "Only b and c tell what to expect of new groups."),
        ("ab", "from a and b, but not from c: unet has a higher IoU in a and b for 2 of the 2 classes that both have. "
               "Only c tells what to expect of new groups."),
    ],
)  # fmt: skip
def test_groups_of_training_images_are_held_against_the_others(seen: str, expected: str) -> None:
    classes = Classes.of([(name, (0, 0, number)) for number, name in enumerate(("road", "car", "boat"))])
    rows = [of_classes(group, 50, 9, int(group == "c")) for group in "abc"]
    rows += [replace(rows[0], split="train", group=group) for group in seen]
    ious = ((0.9, 0.5, nan), (0.8, 0.7, nan), (0.7, 0.4, 0.9))
    best = replace(an_entry_of("unet", place=1), group_class_iou=ious)
    text = describe_groups(replace(INDEPENDENT, classes=classes, rows=tuple(rows)), [best])
    assert text.partition("Training images also come ")[2] == expected


def an_entry_of(model: str, *, place: int, crf: bool = False, as_in_paper: bool = True) -> Entry:
    entry = an_entry(model, crf=crf, place=place, num_classes=2, is_external=False)
    return replace(entry, as_in_paper=as_in_paper)


def compared(*p_values: tuple[str, str, float]) -> dict[Pair, Difference]:
    unused = Interval(nan, nan, nan)
    return {Pair(first, second, MEAN_IOU): Difference(unused, unused, p) for first, second, p in p_values}


def a_comparison(
    entries: Sequence[Entry], differences: Mapping[Pair, Difference] | None = None, *,
    longer: Mapping[Pair, Difference] | None = None, num_blocks: int = 30,
) -> Comparison:  # fmt: skip
    blocks = Blocks(list(range(num_blocks)), None, None, None)
    return Comparison(tuple(entries), differences or {}, 1, blocks, longer or {})


def test_means_tell_how_many_classes_they_include() -> None:
    every = an_entry_of("unet", place=1)
    assert describe_averaging([every, every]) == "Means over classes include every class."
    nowhere = replace(every, class_iou=(0.5, nan, nan, 0.5), confusion=np.diag([9, 0, 0, 9]))
    assert describe_averaging([nowhere]).endswith(
        "in the prediction: 2. mAcc is of those with a pixel in the test images: 2."
    )
    wrongly = [replace(nowhere, class_iou=(0.5, *ious, 0.5)) for ious in ((0.0, nan), (0.0, 0.0))]
    text = describe_averaging([nowhere, *wrongly])
    assert text == (
        "Means over classes do not include all 4. mIoU and mDice are of the classes with a pixel in the test images or "
        "in the prediction: 2 to 4. mAcc is of those with a pixel in the test images: 2."
    )
    assert describe_averaging(wrongly[1:]).endswith(
        "prediction: 4. mAcc is of those with a pixel in the test images: 2."
    )


def images(number: int, *, per_block: int = 1, size_px: int = 2, split: str = "test") -> tuple[Row, ...]:
    return tuple(
        row(split, str(index), group="g", block=str(index // per_block), height_px=size_px) for index in range(number)
    )


@pytest.mark.parametrize(
    ("others", "num_test", "expected"),
    [
        ((3, 2), 2, "3 train, 2 val, 2 test images of 2x2 px, 1 class. "),
        ((1, 1), 2, "1 train, 1 val, 2 test images of 2x2 px, 1 class. "),
        ((1, 1), 1, "1 train, 1 val, 1 test image of 2x2 px, 1 class. "),
    ],
)
def test_a_dataset_is_described(others: tuple[int, int], num_test: int, expected: str) -> None:
    train, val = others
    rows = (*images(train, split="train"), *images(val, split="val"), *images(num_test))
    assert describe_dataset("streets", replace(INDEPENDENT, rows=rows), left_out=()).startswith(f"streets: {expected}")


def test_the_sizes_of_all_splits_are_told() -> None:
    rows = (*images(3, split="train", size_px=4), *images(2))
    assert "2 test images of 2x2, 2x4 px" in describe_dataset("streets", replace(INDEPENDENT, rows=rows), left_out=())


ONCE = "Differences between trainings are not included."
OTHER_SEEDS = (
    "Intervals: how much the scores could differ on other test images and after trainings with other seeds (95 %)."
)


@pytest.mark.parametrize(
    ("num_blocks", "spreads", "shares", "expected"),
    [
        (4, [None], [None], f"on other test images (95 %). {ONCE}"),
        (
            2, [None], [None],
            "on other test images (95 %). Images of one block, such as neighbouring frames of a video, are resampled "
            f"together. {ONCE}",
        ),
        (
            4, [0.01, 0.02], [0.123, 0.4],
            f"{OTHER_SEEDS} The seeds make up 12 to 40 % of the squared standard error of mIoU.",
        ),
        (
            4, [0.01, None, None], [0.2, 0.2, 0.0],
            f"{OTHER_SEEDS} The seeds make up 20 % of the squared standard error of mIoU. How much they matter is "
            "known from m0, and taken to be the same for the others.",
        ),
        (4, [0.0, 0.0], [0.0, 0.0], OTHER_SEEDS),
        (1, [0.01], [0.2], "the lowest possible value to the highest."),
    ],
)  # fmt: skip
def test_intervals_say_what_they_include(
    num_blocks: int, spreads: list[float | None], shares: list[float | None], expected: str
) -> None:
    entries = [
        replace(an_entry_of(f"m{place}", place=place + 1), seed_spread=spread, training_share=share)
        for place, (spread, share) in enumerate(zip(spreads, shares, strict=True))
    ]
    text = describe_intervals(a_comparison(entries, num_blocks=num_blocks), num_images=4)
    assert text.startswith("Intervals: ") and text.endswith(expected)


def test_what_is_the_first_seeds_is_said_of_models_with_several() -> None:
    assert describe_first_seeds({"unet": 1, "fcn_8s": 1}) == ""
    text = describe_first_seeds({"unet": 3, "fcn_8s": 1})
    assert "of single images of unet are those of the first seed." in text


FURTHER = "; the further ones tell how much trainings differ."


@pytest.mark.parametrize(
    ("num_trainings", "expected"),
    [
        ({"a": 1, "b": 1}, "Each model was trained once, so how much scores differ between trainings is not known."),
        ({"a": 1}, "a was trained once, so how much scores differ between trainings is not known."),
        ({"a": 3, "b": 3}, "Each model was trained 3 times with different seeds. Scores are means over the trainings."),
        ({"a": 3}, "a was trained 3 times with different seeds. Scores are means over the trainings."),
        (
            {"a": 1, "b": 3, "c": 2},
            "Trained with different seeds: b 3 times, c 2 times, a once. All models are compared by the first training"
            f"{FURTHER}",
        ),
        (
            {"a": 2, "b": 3, "c": 2},
            "Trained with different seeds: a and c 2 times, b 3 times. All models are compared by the first 2 trainings"
            f"{FURTHER}",
        ),
    ],
)
def test_trainings_are_counted_by_model(num_trainings: dict[str, int], expected: str) -> None:
    assert describe_trainings(num_trainings) == expected


def test_a_reader_is_told_where_large_confusion_matrices_are() -> None:
    assert describe_matrices(40) == ""
    assert describe_matrices(41) == (
        "Confusion matrices of 41 classes are too large for the page. confusion.csv has, for each true class, the "
        "predicted classes that got at least 0.5 % of its pixels."
    )
