"""A reader's questions, answered from tables for which the right answers are known."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest

from segbench.report.pages.answer import SPACE, answers
from segbench.report.table.comparison import MEAN_IOU
from segbench.report.table.content import Entry
from segbench.report.table.numbers import MISSING
from segbench.scoring.intervals import Difference, Interval, Pair
from tests.report.sample_pages import an_entry

DOUBT, ACCURATE, CHEAP, COST, TIME, CRF = (
    "What should I know before I trust the order?", "Which model is the most accurate?", "Which of these costs least?",
    "What does it cost?",
    "Which one if time per image matters?", "Is the CRF worth its time?",
)  # fmt: skip


def an_entry_of(
    model: str,
    score: float,
    *,
    ms: float | None = 10.0,
    minutes: float = 2.0,
    crf: bool = False,
    published: bool = True,
    machine: str | None = None,
    predicted_on: str | None = None,
) -> Entry:
    entry = an_entry(model, crf=crf, place=1, num_classes=2, is_external=False)
    assert entry.costs
    return replace(
        entry,
        scores={**entry.scores, "mIoU": Interval(score, score - 0.01, score + 0.01)},
        costs=replace(
            entry.costs, latency_ms=ms, training_seconds=60 * minutes, trained_on=machine, predicted_on=predicted_on
        ),
        as_in_paper=published,
    )


def differences(entries: Sequence[Entry], *, least: float) -> dict[Pair, Difference]:
    """Of every two entries; significant from `least` on."""
    found = {}
    for place, first in enumerate(entries):
        for second in entries[:place]:
            gain = first.mean_iou.value - second.mean_iou.value
            alone, p_value = Interval(gain, gain - 0.01, gain + 0.01), 0.001 if abs(gain) >= least else 0.4
            found[Pair(first.label, second.label, MEAN_IOU)] = Difference(alone, alone, p_value)
            back = Interval(-gain, -gain - 0.01, -gain + 0.01)
            found[Pair(second.label, first.label, MEAN_IOU)] = Difference(back, back, p_value)
    return found


def told(
    entries: Sequence[Entry], *, least: float = 0.03, longer: Mapping[Pair, Difference] | None = None,
    cautions: Sequence[str] = (),
) -> dict[str, str]:  # fmt: skip
    found = answers(entries, differences(entries, least=least), longer=longer or {}, num_images=60, cautions=cautions)
    return {answer.question: answer.text for answer in found}


def test_one_model_is_better_than_all_others() -> None:
    found = told([an_entry_of("unet", 0.87, ms=14), an_entry_of("fcn", 0.8, ms=7), an_entry_of("colors", 0.3, ms=2)])
    assert found[ACCURATE] == (
        f"unet has the highest mIoU, 87.0{SPACE}% [86.0{MISSING}88.0], significantly higher than that of every other "
        "model as published."
    )
    assert found[COST] == f"It was trained in 2 min and labels an image in 14.0{SPACE}ms."
    assert found[TIME] == (
        f"fcn (7.0{SPACE}ms per image, 80.0{SPACE}%) and unet (14.0{SPACE}ms per image, 87.0{SPACE}%). Each of these "
        "is significantly more accurate than every faster model; no other model with at least "
        f"50{SPACE}% of the highest mIoU is."
    )
    assert CHEAP not in found and CRF not in found and DOUBT not in found


def test_models_that_cannot_be_told_apart_and_the_cheapest_of_them() -> None:
    entries = [
        an_entry_of("deeplab", 0.58, ms=150, minutes=30), an_entry_of("unet", 0.57, ms=40, minutes=20),
        an_entry_of("fcn", 0.56, ms=50, minutes=11), an_entry_of("far", 0.4, ms=1, minutes=1),
    ]  # fmt: skip
    found = told(entries)
    assert found[ACCURATE] == (
        f"deeplab (58.0{SPACE}%), unet (57.0{SPACE}%) and fcn (56.0{SPACE}%) have the highest mIoU. 60 test images "
        "cannot tell the 3 apart."
    )
    assert found[CHEAP] == (f"fcn takes the least time to train (11 min), unet to label an image (40.0{SPACE}ms).")
    assert "unet (40" in found[TIME] and "deeplab" not in found[TIME] and "fcn" not in found[TIME]
    both = told([entries[0], an_entry_of("fcn", 0.56, ms=9, minutes=1)])
    assert both[CHEAP] == (f"fcn takes the least time both to train (60 s) and to label an image (9.0{SPACE}ms).")


def test_training_times_of_different_machines_are_not_compared() -> None:
    slow = an_entry_of("unet", 0.57, ms=50, minutes=20, machine="two fast cores")
    fast = an_entry_of("fcn", 0.56, ms=40, minutes=60, machine="two slow cores")
    assert told([slow, fast])[CHEAP] == (
        f"fcn takes the least time to label an image (40.0{SPACE}ms). They were trained on machines of different "
        "kinds, so their training times do not compare."
    )
    far = an_entry_of("far", 0.4, ms=1, minutes=1, machine="two slow cores")
    alike = an_entry_of("fcn", 0.56, ms=40, minutes=60, machine="two fast cores")
    assert "to train (20 min)" in told([slow, alike, far])[CHEAP], "the machines of worse models do not count"


def test_a_small_gain_over_something_faster_is_no_recommendation() -> None:
    found = told([an_entry_of("fast", 0.6, ms=5), an_entry_of("slower", 0.61, ms=6), an_entry_of("best", 0.7, ms=9)])
    assert "fast (" in found[TIME] and "best (" in found[TIME] and "slower" not in found[TIME]
    alone = told([an_entry_of("fast", 0.6, ms=5), an_entry_of("slow", 0.61, ms=9)])
    assert alone[TIME].endswith("No slower model is significantly more accurate than everything that is faster.")


def test_the_fastest_of_all_is_none_either_where_it_is_bad() -> None:
    entries = [an_entry_of("colors", 0.3, ms=1), an_entry_of("best", 0.7, ms=9)]
    assert "colors" not in told(entries)[TIME]
    assert "colors" in told([replace(entries[0], scores=an_entry_of("", 0.36).scores), entries[1]])[TIME]


def test_models_with_less_than_half_of_the_best_are_not_counted_and_that_is_said() -> None:
    entries = [
        an_entry_of("best", 0.6, ms=9), an_entry_of("second", 0.5, ms=5), an_entry_of("poor", 0.2, ms=2),
        an_entry_of("colors", 0.1, ms=1),
    ]  # fmt: skip
    assert told(entries)[TIME].endswith(f"; no other model with at least 50{SPACE}% of the highest mIoU is.")
    assert told(entries[:2])[TIME].endswith("; no other model is.")
    assert TIME not in told(entries[:1]), "one model has none to be compared with"


def test_models_are_as_published() -> None:
    """A CRF that the paper has not makes no model the best; one that it has counts, with its time."""
    entries = [
        an_entry_of("unet", 0.9, crf=True, published=False), an_entry_of("unet", 0.8, ms=8),
        an_entry_of("v1", 0.85, ms=30, crf=True), an_entry_of("v1", 0.7, ms=9, published=False),
    ]  # fmt: skip
    found = told(entries)
    assert found[ACCURATE].startswith("v1 + CRF has the highest mIoU, 85.0")
    assert f"v1 + CRF (30.0{SPACE}ms" in found[TIME]
    assert found[CRF] == (
        f"It changes mIoU by +12.5 points in the median, from +10.0 (unet) to +15.0 (v1), and adds 11.5{SPACE}ms per "
        f"image in the median, from 2.0{SPACE}ms (unet) to 21.0{SPACE}ms (v1). It significantly raises the "
        "mIoU of 2 of 2 models."
    )


@pytest.mark.parametrize(
    ("with_crf", "expected"),
    [(0.81, "+1.0 points, not significantly"), (0.9, "+10.0 points, significantly"), (0.7, "-10.0 points, signif")],
)
def test_the_crf_of_one_model(with_crf: float, expected: str) -> None:
    found = told([an_entry_of("unet", 0.8, ms=8), an_entry_of("unet", with_crf, ms=208, crf=True, published=False)])
    assert expected in found[CRF] and f", and adds 200{SPACE}ms per image." in found[CRF]


def test_times_of_the_crf_are_those_of_the_commonest_machine() -> None:
    """A slow machine would make one model's CRF look slow."""
    entries = [an_entry_of(name, 0.8, ms=8, predicted_on="fast") for name in ("a", "b", "c")]
    entries += [
        an_entry_of(name, 0.9, ms=ms, crf=True, published=False, predicted_on=machine)
        for name, ms, machine in (("a", 18, "fast"), ("b", 408, "slow"), ("c", 38, "fast"))
    ]
    assert told(entries)[CRF] == (
        f"It changes mIoU by +10.0 points in the median, from +10.0 (a) to +10.0 (a), and adds 20.0{SPACE}ms per "
        f"image in the median, from 10.0{SPACE}ms (a) to 30.0{SPACE}ms (c), for the 2 models whose CRF was timed on "
        "fast. It significantly raises the mIoU of 3 of 3 models."
    )


def test_a_crf_that_harms_is_told() -> None:
    entries = [an_entry_of("a", 0.8), an_entry_of("b", 0.5)]
    entries += [an_entry_of("a", 0.7, crf=True, published=False), an_entry_of("b", 0.6, crf=True, published=False)]
    assert told(entries)[CRF].endswith("raises the mIoU of 1 of 2 models, and lowers that of 1.")


def test_what_could_change_the_answers() -> None:
    entries = [an_entry_of("unet", 0.87), an_entry_of("fcn", 0.8)]
    found = told(entries, longer=differences(entries, least=0.1), cautions=["Each model was trained once."])
    assert found[DOUBT] == (
        "Each model was trained once. "
        "With blocks of test images twice as long, unet cannot be told apart from fcn either."
    )
    assert next(iter(found)) == DOUBT, "warnings stand before the numbers that they qualify"
    assert DOUBT not in told(entries, longer=differences(entries, least=0.01))


def test_costs_that_are_not_known_are_left_out() -> None:
    untimed, fcn = an_entry_of("unet", 0.87, ms=None), an_entry_of("fcn", 0.86, ms=5)
    found = told([untimed, fcn, an_entry_of("colors", 0.5, ms=1)])
    assert CHEAP not in found and "unet" not in found[TIME]
    assert TIME not in told([untimed, fcn])
    theirs = replace(an_entry_of("theirs", 0.9), costs=None, rank=None)
    assert (
        told([theirs, an_entry_of("unet", 0.8)])[ACCURATE] == f"unet has an mIoU of 80.0{SPACE}% [79.0{MISSING}81.0]."
    )
