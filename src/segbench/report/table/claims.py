"""The claims of a lecture on semantic segmentation, and whether a dataset's numbers support them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from segbench.report.table.numbers import points, points_range
from segbench.scoring.blocks import Blocks
from segbench.scoring.intervals import Interval, Measure, Pair, analyse
from segbench.scoring.metrics import ClassPixels

Verdict = Literal["holds", "does not hold", "undecided", "not run"]
MeasureName = Literal["mIoU", "mIoU of thin classes", "mIoU of context classes"]
SAME_SCORE = 1e-4
"""Scores that differ by less, relative to the largest, are the same in float32."""


@dataclass(frozen=True)
class Claim:
    """The claim that the first entry scores higher than the second. Entries are named as in the reports."""

    says: str
    first: str
    second: str
    measure: MeasureName = "mIoU"


THIN: MeasureName = "mIoU of thin classes"
CONTEXT: MeasureName = "mIoU of context classes"

CLAIMS = [
    Claim("Colour alone fails: a classifier of patches beats it", "sliding_window", "color_clusters"),
    Claim("A window lacks the context that tells look-alikes apart", "fcn_8s", "sliding_window", CONTEXT),
    Claim("Adding scores of stride 16 brings back detail", "fcn_16s", "fcn_32s"),
    Claim("Adding scores of stride 16 brings back detail", "fcn_16s", "fcn_32s", THIN),
    Claim("Adding scores of stride 8 brings back more", "fcn_8s", "fcn_16s"),
    Claim("Adding scores of stride 8 brings back more", "fcn_8s", "fcn_16s", THIN),
    Claim("Features of every stride, concatenated (U-Net), beat summed scores of three", "unet", "fcn_8s"),
    Claim("Skip connections help thin classes", "unet", "fcn_32s", THIN),
    Claim("Atrous convolution beats enlarging a coarse map", "deeplab_v1", "fcn_32s"),
    Claim("Pooling over regions (PSPNet) brings context", "pspnet", "fcn_8s", CONTEXT),
    Claim("Several atrous rates (ASPP) see context that one rate misses", "deeplab_v2", "deeplab_v1", CONTEXT),
    Claim("Several atrous rates (ASPP) beat a single one", "deeplab_v2", "deeplab_v1"),
    Claim("Image pooling and a richer ASPP beat summed scores", "deeplab_v3", "deeplab_v2"),
    Claim("A small decoder sharpens the result of ASPP", "deeplab_v3_plus", "deeplab_v3"),
    Claim("A small decoder helps thin classes", "deeplab_v3_plus", "deeplab_v3", THIN),
    Claim("The dense CRF improves DeepLab v1", "deeplab_v1 + CRF", "deeplab_v1"),
    Claim("The dense CRF improves DeepLab v2", "deeplab_v2 + CRF", "deeplab_v2"),
    Claim("A trained decoder without a CRF beats DeepLab v1 with one", "deeplab_v3_plus", "deeplab_v1 + CRF"),
]


@dataclass(frozen=True)
class Finding:
    """A claim's verdict, and the two numbers behind it as a person reads them.

    with_longer_blocks: the verdict with blocks of test images twice as long, if that is another one.
    """

    says: str
    measure: str
    first: str
    second: str
    difference: str
    verdict: Verdict
    with_longer_blocks: Verdict | None = None


def judge_scores(
    counts: Mapping[str, ClassPixels],
    *,
    classes: Mapping[MeasureName, Sequence[int]],
    trainings: Mapping[str, str | None],
    blocks: Blocks,
    failed: Mapping[str, str],
) -> list[Finding]:
    """Judge CLAIMS on the test images. counts and trainings: by entry, as for `analyse`.

    classes: the ones that each measure averages; failed: by model without scores, why, such as `diverged in epoch 3`.
    A claim holds if the 95 % interval of the difference lies above zero, and does not hold if it lies below. The
    intervals are simultaneous over all claims judged here.
    """
    pairs = {
        claim: Pair(claim.first, claim.second, Measure("mIoU", tuple(classes[claim.measure])))
        for claim in CLAIMS
        if not _what_is_missing(claim, counts, classes, failed)
    }
    compared = {name: counts[name] for pair in pairs.values() for name in (pair.first, pair.second)}
    found = partial(analyse, compared, pairs=list(pairs.values()), trainings=trainings)
    analysis = found(blocks=blocks.ids) if pairs else None
    longer = found(blocks=blocks.twice_as_long) if pairs and blocks.twice_as_long else None
    findings = []
    for claim in CLAIMS:
        if analysis is None or claim not in pairs:
            reason = _what_is_missing(claim, counts, classes, failed)
            findings.append(Finding(claim.says, claim.measure, claim.first, claim.second, reason, "not run"))
            continue
        pair, difference = pairs[claim], analysis.differences[pairs[claim]].simultaneous
        verdict = _verdict(difference)
        with_longer_blocks = _verdict(longer.differences[pair].simultaneous) if longer else verdict
        first, second = (100 * analysis.estimates[name, pair.measure].score.value for name in (pair.first, pair.second))
        findings.append(
            Finding(
                claim.says,
                f"{claim.measure}, %",
                f"{claim.first} {first:.1f}",
                f"{claim.second} {second:.1f}",
                f"{points(difference.value)} {points_range(difference.low, difference.high)}",
                verdict,
                None if with_longer_blocks == verdict else with_longer_blocks,
            )
        )
    return findings


def _what_is_missing(
    claim: Claim, counts: Mapping[str, ClassPixels], classes: Mapping[MeasureName, Sequence[int]],
    failed: Mapping[str, str],
) -> str:  # fmt: skip
    """Why a claim cannot be judged; empty if it can."""
    for name in (claim.first, claim.second):
        if name not in counts:
            model = name.removesuffix(" + CRF")
            return _why_missing(model if model in failed else name, failed)
    return "" if classes[claim.measure] else "params.yaml names no such classes"


def _why_missing(model: str, failed: Mapping[str, str]) -> str:
    return f"{model} {failed.get(model, 'is not in the benchmark')}"


def _verdict(difference: Interval) -> Verdict:
    if difference.low > 0:
        return "holds"
    return "does not hold" if difference.high < 0 else "undecided"


def judge_costs(results: Mapping[str, Mapping[str, Any]], *, failed: Mapping[str, str]) -> list[Finding]:
    """Judge the claims about costs. results: the reports `training`, `prediction` and `latency` of each model.

    failed: as for `judge_scores`.
    """
    return [_atrous_costs(results, failed), _sliding_costs(results, failed)]


def _atrous_costs(results: Mapping[str, Mapping[str, Any]], failed: Mapping[str, str]) -> Finding:
    says, measure = "Atrous convolution keeps resolution at no parameter cost", "parameters of the backbone"
    for name in ("deeplab_v1", "fcn_32s"):
        if name not in results:
            return Finding(says, measure, "deeplab_v1", "fcn_32s", _why_missing(name, failed), "not run")
    atrous, coarse = (results[name]["training"]["backbone_parameters"] for name in ("deeplab_v1", "fcn_32s"))
    times = results["deeplab_v1"]["latency"]["latency_ms"] / results["fcn_32s"]["latency"]["latency_ms"]
    difference = f"{atrous - coarse:+,}; an image takes {times:.1f} times as long"
    verdict: Verdict = "holds" if atrous == coarse else "does not hold"
    return Finding(says, measure, f"deeplab_v1 {atrous:,}", f"fcn_32s {coarse:,}", difference, verdict)


def _sliding_costs(results: Mapping[str, Mapping[str, Any]], failed: Mapping[str, str]) -> Finding:
    says = "Convolution instead of sliding gives the same scores in less time"
    if "sliding_window" not in results:
        return Finding(says, "ms", "convolutional", "slid", _why_missing("sliding_window", failed), "not run")
    finest = min(results["sliding_window"]["prediction"]["forms"], key=lambda form: form["stride"])
    is_same = finest["largest_difference"] <= SAME_SCORE * max(1.0, finest["largest_score"])
    times = finest["slid_ms"] / finest["convolutional_ms"]
    return Finding(
        says,
        f"ms, one position every {finest['stride']} px",
        f"convolutional {finest['convolutional_ms']:.1f}",
        f"slid {finest['slid_ms']:.1f}",
        f"{times:.0f} times faster; scores differ by {finest['largest_difference']:.0e} at most",
        "holds" if is_same and times > 1 else "does not hold",
    )
