"""The sentences of reports, from entries and settings for which they are known."""

from dataclasses import replace
from math import nan

import pytest

from segbench.report.drawing.pictures import MAX_IMAGES
from segbench.report.pages.listing import describe_trainings
from segbench.report.pages.wording import (
    crf_choices,
    describe_averaging,
    describe_crf_choices,
    describe_test_images,
    summarise,
)
from segbench.report.table.comparison import MEAN_IOU
from segbench.report.table.content import Entry
from segbench.report.table.numbers import MISSING
from segbench.report.table.results import ModelResults
from segbench.scoring.intervals import Difference, Interval, Pair
from tests.report.sample_pages import an_entry
from tests.report.sample_results import INDEPENDENT, a_model, row


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
    assert "the highest mIoU on 15 validation images" in describe_crf_choices(models)


def test_pictures_that_are_a_choice_or_reduced_are_said_to_be() -> None:
    assert describe_test_images(INDEPENDENT) == "They are ordered by their own mean IoU, averaged over all entries."
    many = [row("test", str(index), group="g", block="b", height_px=481) for index in range(MAX_IMAGES + 1)]
    text = describe_test_images(replace(INDEPENDENT, rows=tuple(many)))
    assert text.endswith("Candidates are 100 evenly spaced test images. Larger images are reduced to 480 px.")


def an_entry_of(model: str, *, place: int, crf: bool = False, as_in_paper: bool = True) -> Entry:
    entry = an_entry(model, crf=crf, place=place, num_classes=2, is_external=False)
    return replace(entry, as_in_paper=as_in_paper)


def compared(*p_values: tuple[str, str, float]) -> dict[Pair, Difference]:
    unused = Interval(nan, nan, nan)
    return {Pair(first, second, MEAN_IOU): Difference(unused, unused, p) for first, second, p in p_values}


def test_the_result_names_the_best_and_what_cannot_be_told_apart_from_it() -> None:
    entries = [
        an_entry_of("good", place=1, crf=True, as_in_paper=False), an_entry_of("good", place=2),
        an_entry_of("near", place=3), an_entry_of("poor", place=9),
    ]  # fmt: skip
    leader = f"good has the highest mIoU, 86.0\N{NO-BREAK SPACE}% [84.8{MISSING}87.1]"
    clear = compared(
        ("good", "near", 0.01), ("poor", "good", 0.001), ("near", "poor", 0.3), ("good + CRF", "good", 0.9)
    )
    assert (
        summarise(entries, clear)
        == f"Each model as published: {leader}, significantly higher than that of every other."
    )
    alike = compared(("near", "good", 0.3), ("poor", "good", 0.001), ("near", "poor", 0.3))
    assert summarise(entries, alike) == (
        f"Each model as published: {leader}; these test images cannot tell it apart from near."
    )
    assert summarise(entries[:2], {}) == f"{leader}."


def test_of_many_that_are_alike_some_are_named() -> None:
    entries = [an_entry_of(name, place=place) for place, name in enumerate("abcdefgh", 1)]
    differences = compared(*(("a", name, 0.5) for name in "bcdefgh"))
    assert summarise(entries, differences).endswith("apart from b, c, d, e, f and 2 more.")


def test_means_tell_how_many_classes_they_include() -> None:
    entry = an_entry_of("unet", place=1)
    assert describe_averaging([entry]) == "Means over classes include all 2 classes."
    without = replace(entry, class_iou=(0.5, nan))
    assert describe_averaging([entry, without]).startswith("Means over classes include 1 to 2 of 2 classes:")


@pytest.mark.parametrize(
    ("num_trainings", "expected"),
    [
        ({"a": 1, "b": 1}, "Each model was trained once, so how much scores differ between trainings is not known."),
        ({"a": 3, "b": 3}, "Trained with different seeds: a and b 3 times. Scores are means over trainings."),
        (
            {"a": 1, "b": 3, "c": 2},
            "Trained with different seeds: b 3 times, c 2 times, the others once. Scores are means over trainings.",
        ),
    ],
)
def test_trainings_are_counted_by_model(num_trainings: dict[str, int], expected: str) -> None:
    assert describe_trainings(num_trainings) == expected
