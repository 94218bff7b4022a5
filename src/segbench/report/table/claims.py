"""What the lecture claims, and whether this dataset's numbers bear it out."""

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from segbench.report.pages.markdown import table
from segbench.report.table.numbers import points
from segbench.scoring.intervals import Interval, Measure, Pair, analyse
from segbench.scoring.metrics import Counts

Verdict = Literal["holds", "does not hold", "within noise", "not run"]
MeasureName = Literal["mIoU", "mIoU of thin classes", "mIoU of context classes"]
SAME_SCORE = 1e-4
"""Relative to the largest score: what float32 may round."""


@dataclass(frozen=True)
class Claim:
    """The first scores higher than the second. Each is a model's name, with ` + CRF` where that refines it."""

    says: str
    first: str
    second: str
    measure: MeasureName = "mIoU"


THIN: MeasureName = "mIoU of thin classes"
CONTEXT: MeasureName = "mIoU of context classes"

CLAIMS = [
    Claim("Colour alone fails: a classifier of patches beats it", "sliding_window", "color_clusters"),
    Claim("A window lacks the context that tells look-alikes apart", "fcn_8s", "sliding_window", CONTEXT),
    Claim("Scores from stride 16 bring back detail", "fcn_16s", "fcn_32s"),
    Claim("Scores from stride 16 bring back detail", "fcn_16s", "fcn_32s", THIN),
    Claim("Scores from stride 8 bring back more", "fcn_8s", "fcn_16s"),
    Claim("Scores from stride 8 bring back more", "fcn_8s", "fcn_16s", THIN),
    Claim("Fused features at every stride (U-Net) beat summed scores of three", "unet", "fcn_8s"),
    Claim("Skip connections help thin classes", "unet", "fcn_32s", THIN),
    Claim("Atrous convolution beats a coarse map that is enlarged", "deeplab_v1", "fcn_32s"),
    Claim("Pooling over regions (PSPNet) brings context", "pspnet", "fcn_8s", CONTEXT),
    Claim("Several atrous rates (ASPP) see context that one rate misses", "deeplab_v2", "deeplab_v1", CONTEXT),
    Claim("Several atrous rates (ASPP) beat one", "deeplab_v2", "deeplab_v1"),
    Claim("Image pooling and a richer ASPP beat summed scores", "deeplab_v3", "deeplab_v2"),
    Claim("A small decoder sharpens what ASPP found", "deeplab_v3_plus", "deeplab_v3"),
    Claim("A small decoder helps thin classes", "deeplab_v3_plus", "deeplab_v3", THIN),
    Claim("The dense CRF improves DeepLab v1", "deeplab_v1 + CRF", "deeplab_v1"),
    Claim("The dense CRF improves DeepLab v2", "deeplab_v2 + CRF", "deeplab_v2"),
    Claim("A trained decoder without a CRF beats DeepLab v1 with one", "deeplab_v3_plus", "deeplab_v1 + CRF"),
]


@dataclass(frozen=True)
class Finding:
    """A claim's verdict, and the two numbers behind it as a person reads them."""

    says: str
    measure: str
    first: str
    second: str
    difference: str
    verdict: Verdict


def judge_scores(
    confusions: Mapping[str, Counts],
    *,
    classes: Mapping[MeasureName, Sequence[int]],
    blocks: Sequence[Hashable] | None = None,
) -> list[Finding]:
    """CLAIMS by test images. confusions: (num_seeds, num_images, C, C) by the names that claims use.

    classes: whose mean counts; blocks: an id an image, as for `analyse`. A claim holds if the 95 % interval of the
    paired difference, which holds for all claims judged here at once, lies above zero; does not hold if below.
    """
    pairs = {
        claim: Pair(claim.first, claim.second, Measure("mIoU", tuple(classes[claim.measure])))
        for claim in CLAIMS
        if not _what_is_missing(claim, confusions, classes)
    }
    compared = {name: confusions[name] for pair in pairs.values() for name in (pair.first, pair.second)}
    analysis = analyse(compared, pairs=list(pairs.values()), blocks=blocks) if pairs else None
    findings = []
    for claim in CLAIMS:
        if analysis is None or claim not in pairs:
            reason = _what_is_missing(claim, confusions, classes)
            findings.append(Finding(claim.says, claim.measure, claim.first, claim.second, reason, "not run"))
            continue
        pair, difference = pairs[claim], analysis.differences[pairs[claim]].simultaneous
        first, second = (100 * analysis.estimates[name, pair.score].score.value for name in (pair.first, pair.second))
        findings.append(
            Finding(
                claim.says,
                f"{claim.measure}, %",
                f"{claim.first} {first:.1f}",
                f"{claim.second} {second:.1f}",
                f"{points(difference.value)} [{points(difference.low)}, {points(difference.high)}]",
                _verdict(difference),
            )
        )
    return findings


def _what_is_missing(
    claim: Claim, confusions: Mapping[str, Counts], classes: Mapping[MeasureName, Sequence[int]]
) -> str:
    """Why a claim cannot be judged; empty if it can."""
    for name in (claim.first, claim.second):
        if name not in confusions:
            return f"{name} is not in the benchmark"
    return "" if classes[claim.measure] else "no such classes are named"


def _verdict(difference: Interval) -> Verdict:
    if difference.low > 0:
        return "holds"
    return "does not hold" if difference.high < 0 else "within noise"


def judge_costs(results: Mapping[str, Mapping[str, Any]]) -> list[Finding]:
    """The claims about cost. results: by model, its `training` and `prediction` reports."""
    return [_atrous_costs(results), _sliding_costs(results)]


def _atrous_costs(results: Mapping[str, Mapping[str, Any]]) -> Finding:
    says, measure = "Atrous convolution keeps resolution at no parameter cost", "parameters of the backbone"
    if not {"deeplab_v1", "fcn_32s"} <= results.keys():
        return Finding(says, measure, "deeplab_v1", "fcn_32s", "not both in the benchmark", "not run")
    atrous, coarse = (results[name]["training"]["backbone_parameters"] for name in ("deeplab_v1", "fcn_32s"))
    times = results["deeplab_v1"]["prediction"]["latency_ms"] / results["fcn_32s"]["prediction"]["latency_ms"]
    difference = f"{atrous - coarse:+,}; the time an image is {times:.1f} times as long"
    verdict: Verdict = "holds" if atrous == coarse else "does not hold"
    return Finding(says, measure, f"deeplab_v1 {atrous:,}", f"fcn_32s {coarse:,}", difference, verdict)


def _sliding_costs(results: Mapping[str, Mapping[str, Any]]) -> Finding:
    says = "Convolution instead of sliding gives the same scores in less time"
    if "sliding_window" not in results:
        return Finding(says, "ms", "convolutional", "slid", "sliding_window is not in the benchmark", "not run")
    finest = min(results["sliding_window"]["prediction"]["forms"], key=lambda form: form["stride"])
    is_same = finest["largest_difference"] <= SAME_SCORE * max(1.0, finest["largest_score"])
    times = finest["slid_ms"] / finest["convolutional_ms"]
    return Finding(
        says,
        f"ms, a position every {finest['stride']} px",
        f"convolutional {finest['convolutional_ms']:.1f}",
        f"slid {finest['slid_ms']:.1f}",
        f"{times:.0f} times faster; scores differ by {finest['largest_difference']:.0e} at most",
        "holds" if is_same and times > 1 else "does not hold",
    )


def lecture_markdown(
    findings: Sequence[Finding], *, dataset: str, num_images: int, num_blocks: int, num_seeds: Mapping[str, int],
    classes: Mapping[MeasureName, Sequence[str]], results: Mapping[str, Mapping[str, Any]],
) -> str:  # fmt: skip
    """The page of verdicts. classes: the names of those whose mean counts; results: as for `judge_costs`.

    num_blocks: in how many blocks the test images were resampled; num_seeds: trainings by model.
    """
    over = "images" if num_blocks == num_images else f"{num_blocks} blocks of images that resemble each other"
    several = [f"{name} {number}" for name, number in num_seeds.items() if number > 1]
    trainings = "one training a model"
    if several:
        trainings += f", but for {', '.join(several)}, of which they are the mean"
    counts = Counter(finding.verdict for finding in findings)
    rows = [
        [finding.says, finding.verdict, finding.measure, finding.first, finding.second, finding.difference]
        for finding in findings
    ]
    lines = [
        f"# The lecture's claims on {dataset}",
        "",
        f"Of {len(findings)} claims: "
        + ", ".join(f"{verdict} {counts[verdict]}" for verdict in get_args(Verdict) if counts[verdict])
        + ".",
        "",
        *table(["Claim", "Verdict", "Measure", "This", "Against", "Difference"], rows, left=6),
        "",
        f"Scores are of the {num_images} test images and {trainings}, by the protocol of "
        "[the table](benchmark.md). In brackets: the 95 % interval of the difference, from a paired, studentised "
        f"bootstrap over {over}. The intervals are simultaneous, which corrects for the number of claims: in 95 of 100 "
        "such sets of test images, all of them hold. A claim holds where its interval lies above zero, and is within "
        "noise where it contains zero. What another seed of the training would change is not in it. A claim compares "
        "whole models as params.yaml has them, which may differ in more than the idea that it names.",
        "",
        *(f"- {measure}: {', '.join(members) or 'none named'}" for measure, members in classes.items()),
        *_reach(results),
    ]
    return "\n".join(lines) + "\n"


def _reach(results: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Atrous rates and the maps they work on: at a rate beyond a map's side, only the middle weights see it."""
    lines = []
    for name, reports in results.items():
        model, samples = reports["training"]["settings"]["model"], reports["training"]["settings"]["samples"]
        rates = model.get("atrous_rates") or [model[key] for key in ("atrous_rate",) if key in model]
        if rates:
            height, width = (-(-side // model["output_stride"]) for side in samples["crop_px"])
            lines.append(f"- {name}: atrous rates {', '.join(map(str, rates))} on maps of {width}x{height} px")
    return lines
