"""Verdicts on claims, from numbers for which they are known."""

from typing import Any

import numpy as np
import pytest

from segbench.report.table.claims import (
    CLAIMS,
    CONTEXT,
    THIN,
    Claim,
    Finding,
    differences,
    judge_costs,
    judge_scores,
)  # fmt: skip
from segbench.scoring import metrics
from tests.parameters import PARAMETERS


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


CLASSES = {"mIoU": [0, 1], THIN: [1], CONTEXT: [0]}
MODELS = {**PARAMETERS.models, **{name: variant.model for name, variant in PARAMETERS.variants.items()}}


def settings_of(name: str) -> dict[str, Any]:
    """The settings in a training's report, of all models the same."""
    model = MODELS[name].model_dump(exclude={"train", "train_on"})
    return {
        "dataset_fingerprint": "0", "model": {"name": name, **model}, "backbone": {"name": "resnet18"},
        "train": {"lr": 0.1, "seeds": [0]}, "samples": {"crop_px": [64, 64]},
    }  # fmt: skip


SETTINGS = {name: settings_of(name) for name in MODELS}


@pytest.mark.parametrize(("fcn_16s", "expected"), [(90, "holds"), (60, "does not hold"), (75, "undecided")])
def test_a_claim_is_judged_by_its_interval(fcn_16s: int, expected: str) -> None:
    counts = {"fcn_32s": confusions(right=75), "fcn_16s": confusions(right=fcn_16s)}
    if expected == "undecided":
        counts["fcn_16s"] = counts["fcn_32s"][:, ::-1]
    findings = judge_scores(counts, settings=SETTINGS, classes=CLASSES)
    assert len(findings) == len([claim for claim in CLAIMS if claim.second])
    assert verdict(findings, first="fcn_16s", second="fcn_32s") == [expected] * 2


def interval(findings: list[Finding]) -> tuple[float, float]:
    """Of the first claim that fcn_16s beats fcn_32s."""
    found = next(found for found in findings if found.first.split(" ")[0] == "fcn_16s")
    low, high = found.difference.split("[")[1].rstrip("]").split(", ")
    return float(low), float(high)


def test_an_interval_is_the_wider_the_more_claims_are_judged() -> None:
    every_model = {
        name: confusions(right=right)
        for right, claim in enumerate(CLAIMS, 60)
        for name in (claim.first, claim.second)
        if name
    }
    two = {name: every_model[name] for name in ("fcn_16s", "fcn_32s")}
    low, high = interval(judge_scores(two, settings=SETTINGS, classes={**CLASSES, THIN: []}))
    corrected_low, corrected_high = interval(judge_scores(every_model, settings=SETTINGS, classes=CLASSES))
    assert corrected_low < low < high < corrected_high


def test_an_interval_is_the_wider_where_images_are_of_the_same_clip() -> None:
    counts = {"fcn_32s": confusions(right=70), "fcn_16s": confusions(right=90)}
    five_times = {name: np.repeat(of_model, 5, axis=1) for name, of_model in counts.items()}
    clips = [f"clip {index // 5}" for index in range(100)]
    low, high = interval(judge_scores(five_times, settings=SETTINGS, classes=CLASSES))
    clips_low, clips_high = interval(judge_scores(five_times, settings=SETTINGS, classes=CLASSES, blocks=clips))
    assert clips_low < low < high < clips_high
    assert (clips_low, clips_high) == pytest.approx(interval(judge_scores(counts, settings=SETTINGS, classes=CLASSES)))


def test_a_claim_about_missing_models_or_classes_is_not_judged() -> None:
    counts = {"fcn_32s": confusions(right=70), "fcn_16s": confusions(right=90)}
    findings = judge_scores(counts, settings=SETTINGS, classes={**CLASSES, THIN: []})
    assert verdict(findings, first="fcn_16s", second="fcn_32s") == ["holds", "not run"]
    assert next(found for found in findings if found.first == "unet").difference == "unet is not in the benchmark"
    assert {found.judged_by for found in findings if found.verdict == "not run"} == {""}


RATES = "Several atrous rates (ASPP) beat a single one"


def test_a_one_factor_pair_is_the_verdict_where_it_was_trained() -> None:
    """As whole models, DeepLab v2 beats v1; with one rate instead of four it would, too, and by more."""
    counts = {"deeplab_v1": confusions(right=60), "deeplab_v2": confusions(right=75)}
    whole = [found for found in judge_scores(counts, settings=SETTINGS, classes=CLASSES) if found.says == RATES]
    counts["deeplab_v2_one_rate"] = confusions(right=90)
    paired = [found for found in judge_scores(counts, settings=SETTINGS, classes=CLASSES) if found.says == RATES]
    assert [(found.verdict, found.judged_by) for found in whole] == [("holds", "whole models")]
    assert [(found.verdict, found.judged_by) for found in paired] == [
        ("does not hold", "one factor: atrous_rates [6, 12, 18, 24], not [12, 12, 12, 12]")
    ]
    assert paired[0].first == whole[0].first and paired[0].second.startswith("deeplab_v2_one_rate ")


def test_a_claim_that_only_a_pair_can_judge_is_left_out_without_it() -> None:
    counts = {"deeplab_v3": confusions(right=75)}
    says = "Image pooling improves DeepLab v3"
    assert says not in {found.says for found in judge_scores(counts, settings=SETTINGS, classes=CLASSES)}
    counts["deeplab_v3_no_image_pooling"] = confusions(right=60)
    (found,) = (one for one in judge_scores(counts, settings=SETTINGS, classes=CLASSES) if one.says == says)
    assert (found.verdict, found.judged_by) == ("holds", "one factor: image_pooling true, not false")


@pytest.mark.parametrize(
    ("section", "change"),
    [
        ("model", {"output_stride": 16}), ("backbone", {"name": "resnet50"}), ("train", {"lr": 0.2}),
        ("samples", {"crop_px": [32, 32]}), ("dataset_fingerprint", "1"),
    ],
)  # fmt: skip
def test_a_variant_that_differs_in_more_makes_no_pair(section: str, change: Any) -> None:
    counts = {name: confusions(right=60) for name in ("deeplab_v1", "deeplab_v2", "deeplab_v2_one_rate")}
    variant = SETTINGS["deeplab_v2_one_rate"]
    edited = {**variant, section: {**variant[section], **change} if isinstance(change, dict) else change}
    findings = judge_scores(counts, settings={**SETTINGS, "deeplab_v2_one_rate": edited}, classes=CLASSES)
    (found,) = (found for found in findings if found.says == RATES)
    assert found.second.startswith("deeplab_v1 ") and found.judged_by == "whole models"


def test_a_pair_may_be_trained_with_different_seeds() -> None:
    variant = SETTINGS["deeplab_v2_one_rate"]
    thrice = {**SETTINGS, "deeplab_v2_one_rate": {**variant, "train": {**variant["train"], "seeds": [0, 1, 2]}}}
    assert list(differences("deeplab_v2", "deeplab_v2_one_rate", thrice)) == ["atrous_rates"]


def test_whole_models_that_differ_in_the_idea_alone_are_a_pair() -> None:
    names = ["fcn_32s", "fcn_16s", "deeplab_v1", "deeplab_v1 + CRF", "deeplab_v3", "deeplab_v3_plus"]
    findings = judge_scores(
        {name: confusions(right=60) for name in names}, settings=SETTINGS, classes={**CLASSES, THIN: []}
    )
    judged = {found.says: found.judged_by for found in findings if found.judged_by}
    assert judged == {
        "Adding scores of stride 16 brings back detail": "one factor: stride 16, not 32",
        "Atrous convolution beats enlarging a coarse map": "whole models",
        "A small decoder sharpens the result of ASPP":
            "one factor: architecture deeplab_v3_plus, not deeplab_v3; low_level_channels 48, not none",
        "The dense CRF improves DeepLab v1": "one factor: CRF on, not off",
        "A trained decoder without a CRF beats DeepLab v1 with one": "whole models",
    }  # fmt: skip


@pytest.mark.parametrize("claim", [claim for claim in CLAIMS if claim.without], ids=lambda claim: claim.without)
def test_the_offered_variants_differ_from_their_models_in_the_claims_idea(claim: Claim) -> None:
    assert claim.without is not None
    assert PARAMETERS.variants[claim.without].of == claim.first
    assert differences(claim.first, claim.without, SETTINGS).keys() == set(claim.idea)


def test_every_offered_variant_is_of_a_claim() -> None:
    assert {claim.without for claim in CLAIMS} - {None} == PARAMETERS.variants.keys()


def test_pairs_and_whole_models_share_one_family_of_intervals() -> None:
    counts = {"fcn_32s": confusions(right=75), "fcn_16s": confusions(right=90)}
    low, high = interval(judge_scores(counts, settings=SETTINGS, classes=CLASSES))
    counts |= {name: confusions(right=60 + index) for index, name in enumerate(MODELS) if name not in counts}
    wider_low, wider_high = interval(judge_scores(counts, settings=SETTINGS, classes=CLASSES))
    assert wider_low < low < high < wider_high


def costs(name: str, *, backbone_parameters: int, latency_ms: float) -> dict[str, Any]:
    training = {"backbone_parameters": backbone_parameters, "settings": SETTINGS[name]}
    return {"training": training, "prediction": {"latency_ms": latency_ms}}


def results(*, atrous_parameters: int, convolutional_ms: float, difference: float) -> dict[str, Any]:
    form = {
        "stride": 1, "num_positions": 100, "slid_ms": 50.0, "convolutional_ms": convolutional_ms,
        "slid_multiply_adds": 10**9, "convolutional_multiply_adds": 10**8, "largest_difference": difference,
        "largest_score": 5.0, "same_class": 1.0,
    }  # fmt: skip
    return {
        "fcn_32s": costs("fcn_32s", backbone_parameters=1000, latency_ms=10.0),
        "deeplab_v1": costs("deeplab_v1", backbone_parameters=atrous_parameters, latency_ms=25.0),
        "sliding_window": {"training": {}, "prediction": {"forms": [{**form, "stride": 2}, form]}},
    }


def test_costs_are_judged_by_what_was_measured() -> None:
    atrous, sliding = judge_costs(results(atrous_parameters=1000, convolutional_ms=2.0, difference=1e-6))
    assert (atrous.verdict, sliding.verdict) == ("holds", "holds")
    assert "2.5 times as long" in atrous.difference
    assert "25 times faster" in sliding.difference
    atrous, sliding = judge_costs(results(atrous_parameters=1001, convolutional_ms=2.0, difference=0.1))
    assert (atrous.verdict, sliding.verdict) == ("does not hold", "does not hold")
    assert [found.verdict for found in judge_costs({})] == ["not run", "not run"]


def test_costs_are_judged_by_the_pair_where_it_was_trained() -> None:
    measured = results(atrous_parameters=1000, convolutional_ms=2.0, difference=1e-6)
    assert [found.judged_by for found in judge_costs(measured)] == [
        "whole models", "one factor: convolutional, not slid; the same weights",
    ]  # fmt: skip
    measured["deeplab_v1_strided"] = costs("deeplab_v1_strided", backbone_parameters=900, latency_ms=5.0)
    atrous, _ = judge_costs(measured)
    assert atrous.verdict == "does not hold" and atrous.second == "deeplab_v1_strided 900"
    assert atrous.judged_by == "one factor: output_stride 8, not 32; atrous_rate 12, not 3"
    assert "5.0 times as long" in atrous.difference
