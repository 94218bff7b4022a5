"""Verdicts on claims, from numbers for which they are known."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from segbench.params.rates import fitted
from segbench.report.table.claims import (
    CLAIMS,
    CONTEXT,
    THIN,
    Claim,
    Finding,
    MeasureName,
    differences,
    judge_costs,
    judge_scores,
    told_settings,
)  # fmt: skip
from segbench.scoring import metrics
from segbench.scoring.blocks import Blocks
from segbench.scoring.intervals import Measure, analyse
from tests.parameters import PARAMETERS
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


MODELS = {**PARAMETERS.models, **{name: variant.model for name, variant in PARAMETERS.variants.items()}}


def settings_of(name: str) -> dict[str, Any]:
    """The settings in a training's report, of all models the same."""
    model = fitted(MODELS[name], crop_px=[96, 128]).model_dump(exclude={"train", "train_on"})
    return {
        "dataset_fingerprint": "0", "model": {"name": name, **model}, "backbone": {"name": "resnet18"},
        "train": {"lr": 0.1, "seeds": [0]}, "samples": {"crop_px": [96, 128]},
    }  # fmt: skip


SETTINGS = {name: settings_of(name) for name in MODELS}


CLASSES: Mapping[MeasureName, Sequence[int]] = {"mIoU": [0, 1], THIN: [1], CONTEXT: [0]}


def judged(
    counts: Mapping[str, metrics.Counts], *, classes: Mapping[MeasureName, Sequence[int]] = CLASSES,
    ids: Sequence[Hashable] | None = None, twice_as_long: Sequence[Hashable] | None = None,
    settings: Mapping[str, Mapping[str, Any]] | None = None,
    failed: Mapping[str, str] | None = None,
) -> list[Finding]:  # fmt: skip
    """Each image is a block, or as `ids` say; each entry has its own trainings."""
    images = {name: pixels(of_entry) for name, of_entry in counts.items()}
    each = range(next(iter(counts.values())).shape[1])
    blocks = Blocks(list(ids or each), None, None, list(twice_as_long) if twice_as_long else None)
    return judge_scores(
        images, settings=settings or SETTINGS, classes=classes, trainings={}, blocks=blocks, failed=failed or {}
    )


@pytest.mark.parametrize(("fcn_16s", "expected"), [(90, "holds"), (60, "does not hold"), (75, "undecided")])
def test_a_claim_is_judged_by_its_interval(fcn_16s: int, expected: str) -> None:
    counts = {"fcn_32s": confusions(right=75), "fcn_16s": confusions(right=fcn_16s)}
    if expected == "undecided":
        counts["fcn_16s"] = counts["fcn_32s"][:, ::-1]
    findings = judged(counts)
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
    assert [finding.with_longer_blocks for finding in stays] == [None] * len(stays)


def test_a_claim_about_missing_models_or_classes_is_not_judged() -> None:
    counts = {"fcn_32s": confusions(right=70), "fcn_16s": confusions(right=90)}
    findings = judged(counts, classes={**CLASSES, THIN: []})
    assert verdict(findings, first="fcn_16s", second="fcn_32s") == ["holds", "not run"]
    assert next(found for found in findings if found.first == "unet").difference == "unet is not in the benchmark"
    assert {found.judged_by for found in findings if found.verdict == "not run"} == {""}


RATES = "Several atrous rates (ASPP) beat a single one"


def test_a_one_factor_pair_is_the_verdict_where_it_was_trained() -> None:
    """As whole models, DeepLab v2 beats v1; with one rate instead of four it would, too, and by more."""
    counts = {"deeplab_v1": confusions(right=60), "deeplab_v2": confusions(right=75)}
    whole = [found for found in judged(counts) if found.says == RATES]
    counts["deeplab_v2_one_rate"] = confusions(right=90)
    paired = [found for found in judged(counts) if found.says == RATES]
    assert [(found.verdict, found.judged_by) for found in whole] == [("holds", "whole models")]
    assert [(found.verdict, found.judged_by) for found in paired] == [
        ("does not hold", "one factor: atrous_rates [2, 4, 6, 8], not [4, 4, 4, 4]")
    ]
    assert paired[0].first == whole[0].first and paired[0].second.startswith("deeplab_v2_one_rate ")


def test_a_claim_that_only_a_pair_can_judge_is_left_out_without_it() -> None:
    counts = {"deeplab_v3": confusions(right=75)}
    says = "Image pooling improves DeepLab v3"
    assert says not in {found.says for found in judged(counts)}
    counts["deeplab_v3_no_image_pooling"] = confusions(right=60)
    (found,) = (one for one in judged(counts) if one.says == says)
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
    findings = judged(counts, classes=CLASSES, settings={**SETTINGS, "deeplab_v2_one_rate": edited})
    (found,) = (found for found in findings if found.says == RATES)
    assert found.second.startswith("deeplab_v1 ") and found.judged_by == "whole models"


def test_a_pair_may_be_trained_with_different_seeds() -> None:
    variant = SETTINGS["deeplab_v2_one_rate"]
    thrice = {**SETTINGS, "deeplab_v2_one_rate": {**variant, "train": {**variant["train"], "seeds": [0, 1, 2]}}}
    assert list(differences("deeplab_v2", "deeplab_v2_one_rate", thrice)) == ["atrous_rates"]


def test_whole_models_that_differ_in_the_idea_alone_are_a_pair() -> None:
    names = ["fcn_32s", "fcn_16s", "deeplab_v1", "deeplab_v1 + CRF", "deeplab_v3", "deeplab_v3_plus"]
    findings = judged({name: confusions(right=60) for name in names}, classes={**CLASSES, THIN: []}, settings=SETTINGS)
    by = {found.says: found.judged_by for found in findings if found.judged_by}
    assert by == {
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
    low, high = interval(judged(counts))
    counts |= {name: confusions(right=60 + index) for index, name in enumerate(MODELS) if name not in counts}
    wider_low, wider_high = interval(judged(counts))
    assert wider_low < low < high < wider_high


def test_classes_without_a_true_pixel_are_not_judged() -> None:
    counts = {"fcn_32s": confusions(right=70), "fcn_16s": confusions(right=90)}
    for of_model in counts.values():
        of_model[..., 1, :] = 0
    findings = judged(counts, classes=CLASSES)
    assert verdict(findings, first="fcn_16s", second="fcn_32s") == ["holds", "not run"]
    (reason,) = {found.difference for found in findings if "pixel" in found.difference}
    assert reason == "the test images have no pixel of these classes"


def test_the_verdicts_on_scores_are_by_an_interval_and_the_others_are_not() -> None:
    findings = judged({"fcn_32s": confusions(right=70), "fcn_16s": confusions(right=90)}, classes=CLASSES)
    costs = judge_costs(results(atrous_parameters=1000, convolutional_ms=2.0, difference=1e-6), failed={})
    assert sum(found.has_interval for found in findings) == 2
    assert not any(found.has_interval for found in costs)


def costs(name: str, *, backbone_parameters: int, latency_ms: float, backbone: str = "resnet18") -> dict[str, Any]:
    settings = {**SETTINGS[name], "backbone": {"name": backbone}}
    return {
        "training": {"settings": settings, "search": None, "backbone_parameters": backbone_parameters},
        "latency": {"latency_ms": latency_ms},
    }


def results(
    *, atrous_parameters: int, convolutional_ms: float, difference: float, atrous_backbone: str = "resnet18"
) -> dict[str, Any]:
    form = {
        "stride": 1, "num_positions": 100, "slid_ms": 50.0, "convolutional_ms": convolutional_ms,
        "slid_multiply_adds": 10**9, "convolutional_multiply_adds": 10**8, "largest_difference": difference,
        "largest_score": 5.0, "same_class": 1.0,
    }  # fmt: skip
    return {
        "fcn_32s": costs("fcn_32s", backbone_parameters=1000, latency_ms=10.0),
        "deeplab_v1": costs(
            "deeplab_v1", backbone_parameters=atrous_parameters, latency_ms=25.0, backbone=atrous_backbone
        ),
        "sliding_window": {"training": {}, "prediction": {"forms": [{**form, "stride": 2}, form]}},
    }


def test_costs_are_judged_by_what_was_measured() -> None:
    atrous, sliding = judge_costs(results(atrous_parameters=1000, convolutional_ms=2.0, difference=1e-6), failed={})
    assert (atrous.verdict, sliding.verdict) == ("holds", "holds")
    assert "2.5 times as long" in atrous.difference
    assert "25.0 times as fast" in sliding.difference
    atrous, sliding = judge_costs(results(atrous_parameters=1001, convolutional_ms=2.0, difference=0.1), failed={})
    assert (atrous.verdict, sliding.verdict) == ("does not hold", "does not hold")
    _, slower = judge_costs(results(atrous_parameters=1000, convolutional_ms=100.0, difference=1e-6), failed={})
    assert slower.verdict == "does not hold" and slower.difference.startswith("0.5 times as fast; ")
    other = results(atrous_parameters=1001, convolutional_ms=2.0, difference=0.1, atrous_backbone="vgg16")
    atrous, _ = judge_costs(other, failed={})
    assert (atrous.verdict, atrous.difference) == ("not run", "they have vgg16 and resnet18")
    assert [found.verdict for found in judge_costs({}, failed={})] == ["not run", "not run"]


def test_costs_are_judged_by_the_pair_where_it_was_trained() -> None:
    measured = results(atrous_parameters=1000, convolutional_ms=2.0, difference=1e-6)
    assert [found.judged_by for found in judge_costs(measured, failed={})] == [
        "whole models", "one factor: convolutional, not slid; the same weights",
    ]  # fmt: skip
    measured["deeplab_v1_strided"] = costs("deeplab_v1_strided", backbone_parameters=900, latency_ms=5.0)
    atrous, _ = judge_costs(measured, failed={})
    assert atrous.verdict == "does not hold" and atrous.second == "deeplab_v1_strided 900"
    assert atrous.judged_by == "one factor: output_stride 8, not 32; atrous_rate 4, not 1"
    assert "5.0 times as long" in atrous.difference


def test_what_a_search_tried_for_both_is_no_difference_between_them() -> None:
    search = {"epochs": 2, "best": {"lr": 0.1}, "trials": [{"values": {"lr": 0.1}}, {"values": {"lr": 0.2}}]}
    reports: dict[str, dict[str, Any]] = {
        name: {"settings": {**SETTINGS[name], "train": {"lr": lr, "seeds": [0]}}, "search": search}
        for name, lr in (("deeplab_v2", 0.1), ("deeplab_v2_one_rate", 0.2))
    }
    found = {name: told_settings(report) for name, report in reports.items()}
    assert list(differences("deeplab_v2", "deeplab_v2_one_rate", found)) == ["atrous_rates"]
    reports["deeplab_v2"] = {**reports["deeplab_v2"], "search": None}
    found = {name: told_settings(report) for name, report in reports.items()}
    assert set(differences("deeplab_v2", "deeplab_v2_one_rate", found)) == {"atrous_rates", "train.lr", "train.search"}


def test_claims_compare_by_as_many_trainings_as_the_table() -> None:
    """Which is by one training here, since a model that no judged claim is about has one."""
    thrice = {
        name: np.concatenate([confusions(right=right + seed) for seed in (0, 5, 10)])
        for name, right in (("fcn_32s", 60), ("fcn_16s", 80))
    }
    found = judged({**thrice, "color_clusters": confusions(right=30)})
    scores = [
        analyse({name: pixels(counts[:1])}, measures=[Measure("mIoU", (0, 1))]) for name, counts in thrice.items()
    ]
    of_one = [100 * next(iter(each.estimates.values())).score.value for each in scores]
    (claim,) = [one for one in found if one.first.startswith("fcn_16s ") and one.measure == "mIoU, %"]
    assert (claim.second, claim.first) == (f"fcn_32s {of_one[0]:.1f}", f"fcn_16s {of_one[1]:.1f}")


def test_a_variant_that_diverged_is_named_where_only_it_can_judge() -> None:
    says, why = "Skip connections improve U-Net", "diverged in epoch 3"
    counts = {"unet": confusions(right=70), "fcn_32s": confusions(right=60)}
    found = {one.says: one for one in judged(counts, failed={"unet_no_skips": why})}
    assert (found[says].verdict, found[says].difference) == ("not run", f"unet_no_skips {why}")
    assert found["Skip connections help thin classes"].judged_by == "whole models"
    found = {one.says: one for one in judged({"unet_no_skips": confusions(right=70)}, failed={"unet": why})}
    assert (found[says].verdict, found[says].difference) == ("not run", f"unet {why}")


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
