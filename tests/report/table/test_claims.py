"""Verdicts on claims, from numbers for which they are known."""

from collections.abc import Hashable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest

from segbench.report.table.claims import CLAIMS, CONTEXT, THIN, Finding, MeasureName, judge_costs, judge_scores
from segbench.scoring import metrics
from segbench.scoring.blocks import Blocks
from tests.scoring.population import pixels


def confusions(*, right: int, num_images: int = 20) -> metrics.Counts:
    """(1, num_images, 2, 2): of 100 pixels of each class, about `right` are found."""
    rng = np.random.default_rng(right)
    found = rng.binomial(100, right / 100, (num_images, 2))
    return np.array([[[[a, 100 - a], [100 - b, b]] for a, b in found]])


def verdict(findings: list[Finding], *, first: str, second: str) -> list[str]:
    return [
        found.verdict
        for found in findings
        if found.first.split(" ")[0] == first and found.second.split(" ")[0] == second
    ]


CLASSES: Mapping[MeasureName, Sequence[int]] = {"mIoU": [0, 1], THIN: [1], CONTEXT: [0]}


def judged(
    counts: Mapping[str, metrics.Counts], *, classes: Mapping[MeasureName, Sequence[int]] = CLASSES,
    ids: Sequence[Hashable] | None = None, twice_as_long: Sequence[Hashable] | None = None,
    failed: Mapping[str, str] = MappingProxyType({}),
) -> list[Finding]:  # fmt: skip
    """Each image is a block, or as `ids` say; each entry has its own trainings."""
    images = {name: pixels(of_entry) for name, of_entry in counts.items()}
    each = range(next(iter(counts.values())).shape[1])
    blocks = Blocks(list(ids or each), None, None, list(twice_as_long) if twice_as_long else None)
    return judge_scores(images, classes=classes, trainings={}, blocks=blocks, failed=failed)


@pytest.mark.parametrize(("fcn_16s", "expected"), [(90, "holds"), (60, "does not hold"), (75, "undecided")])
def test_a_claim_is_judged_by_its_interval(fcn_16s: int, expected: str) -> None:
    counts = {"fcn_32s": confusions(right=75), "fcn_16s": confusions(right=fcn_16s)}
    if expected == "undecided":
        counts["fcn_16s"] = counts["fcn_32s"][:, ::-1]
    findings = judged(counts)
    assert len(findings) == len(CLAIMS)
    assert verdict(findings, first="fcn_16s", second="fcn_32s") == [expected] * 2


def interval(findings: list[Finding]) -> tuple[float, float]:
    """Of the first claim that fcn_16s beats fcn_32s."""
    found = next(found for found in findings if found.first.split(" ")[0] == "fcn_16s")
    low, high = found.difference.split("[")[1].rstrip("]").split(", ")
    return float(low), float(high)


def test_an_interval_is_the_wider_the_more_claims_are_judged() -> None:
    every_model = {
        name: confusions(right=right) for right, claim in enumerate(CLAIMS, 60) for name in (claim.first, claim.second)
    }
    two = {name: every_model[name] for name in ("fcn_16s", "fcn_32s")}
    low, high = interval(judged(two, classes={**CLASSES, THIN: []}))
    corrected_low, corrected_high = interval(judged(every_model))
    assert corrected_low < low < high < corrected_high


def test_an_interval_is_the_wider_where_images_are_of_the_same_clip() -> None:
    counts = {"fcn_32s": confusions(right=70), "fcn_16s": confusions(right=90)}
    five_times = {name: np.repeat(of_model, 5, axis=1) for name, of_model in counts.items()}
    clips = [f"clip {index // 5}" for index in range(100)]
    low, high = interval(judged(five_times))
    clips_low, clips_high = interval(judged(five_times, ids=clips))
    assert clips_low < low < high < clips_high
    assert (clips_low, clips_high) == pytest.approx(interval(judged(counts)))


def test_a_verdict_that_depends_on_the_length_of_blocks_says_so() -> None:
    """Twenty images, of which the first five are far better; as one block, they could be chance."""
    counts = {"fcn_32s": confusions(right=70), "fcn_16s": confusions(right=71)}
    counts["fcn_16s"][:, :5] = confusions(right=99)[:, :5]
    unsure = [index // 5 for index in range(20)]
    found = judged(counts, twice_as_long=unsure)
    (claim, _) = (finding for finding in found if finding.first.startswith("fcn_16s "))
    assert (claim.verdict, claim.with_longer_blocks) == ("holds", "undecided")
    counts["fcn_16s"] = confusions(right=90)
    stays = judged(counts, twice_as_long=unsure)
    assert [finding.with_longer_blocks for finding in stays] == [None] * len(CLAIMS)


def test_a_claim_about_missing_models_or_classes_is_not_judged() -> None:
    counts = {"fcn_32s": confusions(right=70), "fcn_16s": confusions(right=90)}
    findings = judged(counts, classes={**CLASSES, THIN: []})
    assert verdict(findings, first="fcn_16s", second="fcn_32s") == ["holds", "not run"]
    assert next(found for found in findings if found.first == "unet").difference == "unet is not in the benchmark"


def results(*, atrous_parameters: int, convolutional_ms: float, difference: float) -> dict[str, Any]:
    form = {
        "stride": 1, "num_positions": 100, "slid_ms": 50.0, "convolutional_ms": convolutional_ms,
        "slid_multiply_adds": 10**9, "convolutional_multiply_adds": 10**8, "largest_difference": difference,
        "largest_score": 5.0, "same_class": 1.0,
    }  # fmt: skip
    return {
        "fcn_32s": {"training": {"backbone_parameters": 1000}, "latency": {"latency_ms": 10.0}},
        "deeplab_v1": {"training": {"backbone_parameters": atrous_parameters}, "latency": {"latency_ms": 25.0}},
        "sliding_window": {"training": {}, "prediction": {"forms": [{**form, "stride": 2}, form]}},
    }


def test_costs_are_judged_by_what_was_measured() -> None:
    atrous, sliding = judge_costs(results(atrous_parameters=1000, convolutional_ms=2.0, difference=1e-6), failed={})
    assert (atrous.verdict, sliding.verdict) == ("holds", "holds")
    assert "2.5 times as long" in atrous.difference
    assert "25 times faster" in sliding.difference
    atrous, sliding = judge_costs(results(atrous_parameters=1001, convolutional_ms=2.0, difference=0.1), failed={})
    assert (atrous.verdict, sliding.verdict) == ("does not hold", "does not hold")
    assert [found.verdict for found in judge_costs({}, failed={})] == ["not run", "not run"]


def test_a_claim_about_a_model_whose_trainings_diverged_is_not_run_and_says_why() -> None:
    failed = dict.fromkeys(("fcn_32s", "deeplab_v1", "sliding_window"), "diverged in epoch 3")
    (crf,) = [
        found
        for found in judged({"fcn_16s": confusions(right=70)}, failed=failed)
        if found.says == "The dense CRF improves DeepLab v1"
    ]
    for found, model in zip(
        [crf, *judge_costs({}, failed=failed)], ("deeplab_v1", "deeplab_v1", "sliding_window"), strict=True
    ):
        assert (found.verdict, found.difference) == ("not run", f"{model} diverged in epoch 3")
