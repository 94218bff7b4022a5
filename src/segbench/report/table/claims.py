"""The claims of a lecture on semantic segmentation, and whether a dataset's numbers support them."""

from collections.abc import Collection, Mapping, Sequence
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


Settings = Mapping[str, Mapping[str, Any]]
"""The settings in the `training` report of each model and variant."""
CRF = " + CRF"
ONE_FACTOR = "one factor: "


@dataclass(frozen=True)
class Claim:
    """The claim that the first entry scores higher than the second. Entries are named as in the reports.

    idea: the parameters that the claim is about. without: the variant of the first that lacks the idea; where it was
    trained, the first is judged against it. second: None if only the variant can be judged against.
    """

    says: str
    first: str
    second: str | None
    measure: MeasureName = "mIoU"
    idea: tuple[str, ...] = ()
    without: str | None = None


THIN: MeasureName = "mIoU of thin classes"
CONTEXT: MeasureName = "mIoU of context classes"

STRIDE = ("output_stride", "atrous_rate")
"""A field of view in pixels of the image takes another rate at another output stride."""
DECODER = ("architecture", "low_level_channels")
"""DeepLab v3 is DeepLab v3+ without its decoder."""

CLAIMS = [
    Claim("Colour alone fails: a classifier of patches beats it", "sliding_window", "color_clusters"),
    Claim("A window lacks the context that tells look-alikes apart", "fcn_8s", "sliding_window", CONTEXT),
    Claim("Adding scores of stride 16 brings back detail", "fcn_16s", "fcn_32s", idea=("stride",)),
    Claim("Adding scores of stride 16 brings back detail", "fcn_16s", "fcn_32s", THIN, idea=("stride",)),
    Claim("Adding scores of stride 8 brings back more", "fcn_8s", "fcn_16s", idea=("stride",)),
    Claim("Adding scores of stride 8 brings back more", "fcn_8s", "fcn_16s", THIN, idea=("stride",)),
    Claim(
        "Learnt upsampling beats fixed interpolation", "fcn_8s", None,
        idea=("upsampling",), without="fcn_8s_bilinear",
    ),
    Claim("Features of every stride, concatenated (U-Net), beat summed scores of three", "unet", "fcn_8s"),
    Claim("Skip connections improve U-Net", "unet", None, idea=("skips",), without="unet_no_skips"),
    Claim("Skip connections help thin classes", "unet", "fcn_32s", THIN, idea=("skips",), without="unet_no_skips"),
    Claim(
        "Atrous convolution beats enlarging a coarse map", "deeplab_v1", "fcn_32s",
        idea=STRIDE, without="deeplab_v1_strided",
    ),
    Claim(
        "Pooling over regions (PSPNet) brings context", "pspnet", "fcn_8s", CONTEXT,
        idea=("bins",), without="pspnet_no_pyramid",
    ),
    Claim("Pooling over regions improves PSPNet", "pspnet", None, idea=("bins",), without="pspnet_no_pyramid"),
    Claim(
        "An auxiliary loss improves PSPNet", "pspnet", None,
        idea=("auxiliary_weight",), without="pspnet_no_auxiliary",
    ),
    Claim(
        "Several atrous rates (ASPP) see context that one rate misses", "deeplab_v2", "deeplab_v1", CONTEXT,
        idea=("atrous_rates",), without="deeplab_v2_one_rate",
    ),
    Claim(
        "Several atrous rates (ASPP) beat a single one", "deeplab_v2", "deeplab_v1",
        idea=("atrous_rates",), without="deeplab_v2_one_rate",
    ),
    Claim("Image pooling and a richer ASPP beat summed scores", "deeplab_v3", "deeplab_v2"),
    Claim(
        "Several atrous rates improve DeepLab v3", "deeplab_v3", None,
        idea=("atrous_rates",), without="deeplab_v3_one_rate",
    ),
    Claim(
        "Image pooling improves DeepLab v3", "deeplab_v3", None,
        idea=("image_pooling",), without="deeplab_v3_no_image_pooling",
    ),
    Claim("A small decoder sharpens the result of ASPP", "deeplab_v3_plus", "deeplab_v3", idea=DECODER),
    Claim("A small decoder helps thin classes", "deeplab_v3_plus", "deeplab_v3", THIN, idea=DECODER),
    Claim("The dense CRF improves DeepLab v1", f"deeplab_v1{CRF}", "deeplab_v1", idea=("CRF",)),
    Claim("The dense CRF improves DeepLab v2", f"deeplab_v2{CRF}", "deeplab_v2", idea=("CRF",)),
    Claim("A trained decoder without a CRF beats DeepLab v1 with one", "deeplab_v3_plus", f"deeplab_v1{CRF}"),
]  # fmt: skip


@dataclass(frozen=True)
class Finding:
    """A claim's verdict, and the two numbers behind it as a person reads them.

    judged_by: `whole models`, or what a one-factor pair differs in; empty if the claim was not judged.
    with_longer_blocks: the verdict with blocks of test images twice as long, if that is another one.
    """

    says: str
    measure: str
    first: str
    second: str
    difference: str
    verdict: Verdict
    judged_by: str = ""
    with_longer_blocks: Verdict | None = None

    @property
    def full_verdict(self) -> str:
        """The verdict, and the one with longer blocks where that differs."""
        longer = self.with_longer_blocks
        return f"{self.verdict}; {longer} with longer blocks" if longer else self.verdict

    @property
    def has_interval(self) -> bool:
        """Whether the verdict is by the interval of a difference, as that of scores is and that of costs is not."""
        return self.verdict != "not run" and self.difference.endswith("]")


def judge_scores(
    counts: Mapping[str, ClassPixels],
    *,
    settings: Settings,
    classes: Mapping[MeasureName, Sequence[int]],
    trainings: Mapping[str, str | None],
    blocks: Blocks,
    failed: Mapping[str, str],
) -> list[Finding]:
    """Judge CLAIMS on the test images. counts and trainings: by entry, as for `analyse`.

    classes: the ones that each measure averages. A claim holds if the 95 % interval of the difference lies above zero,
    and does not hold if it lies below. The intervals are simultaneous over all claims judged here. A claim is judged
    once: by its one-factor pair if that was trained, else by whole models. One that only a pair can judge is left out
    if its variant was not asked for. failed: by model without scores, why, such as `diverged in epoch 3`.
    """
    against = {
        claim: second for claim in CLAIMS if (second := _judged_against(claim, counts, settings, failed)) is not None
    }
    missing = {claim: _what_is_missing(claim, second, counts, classes, failed) for claim, second in against.items()}
    pairs = {
        claim: Pair(claim.first, second, Measure("mIoU", tuple(classes[claim.measure])))
        for claim, second in against.items()
        if not missing[claim]
    }
    # of all entries, though few are in a claim: all are to be compared by as many trainings as in the table
    found = partial(analyse, counts, pairs=list(pairs.values()), trainings=trainings)
    analysis = found(blocks=blocks.ids) if pairs else None
    longer = found(blocks=blocks.twice_as_long) if pairs and blocks.twice_as_long else None
    findings = []
    for claim, second in against.items():
        if analysis is None or claim not in pairs:
            findings.append(Finding(claim.says, claim.measure, claim.first, second, missing[claim], "not run"))
            continue
        pair, difference = pairs[claim], analysis.differences[pairs[claim]].simultaneous
        verdict = _verdict(difference)
        with_longer_blocks = _verdict(longer.differences[pair].simultaneous) if longer else verdict
        scores = (100 * analysis.estimates[name, pair.measure].score.value for name in (pair.first, pair.second))
        first_score, second_score = scores
        findings.append(
            Finding(
                claim.says,
                f"{claim.measure}, %",
                f"{pair.first} {first_score:.1f}",
                f"{pair.second} {second_score:.1f}",
                f"{points(difference.value)} {points_range(difference.low, difference.high)}",
                verdict,
                _judged_by(claim.idea, pair.first, pair.second, settings),
                None if with_longer_blocks == verdict else with_longer_blocks,
            )
        )
    return findings


def _judged_against(claim: Claim, entries: Collection[str], settings: Settings, failed: Collection[str]) -> str | None:
    """The first's variant without the idea, if it was trained and lacks nothing else; or the claim's second entry.

    Where there is no second, the variant also if one of the two failed: the finding then says so.
    """
    variant = claim.without
    if variant is None or not {claim.first, variant} <= {*entries, *failed}:
        return claim.second
    if {claim.first, variant} & set(failed):
        return claim.second or variant
    is_one_factor = _is_one_factor(claim.idea, differences(claim.first, variant, settings))
    return variant if is_one_factor else claim.second


def differences(first: str, second: str, settings: Settings) -> dict[str, tuple[Any, Any]]:
    """All that two entries' trainings were told differently, by parameter, but for the number of trainings.

    A parameter that an entry does not have is None. Those of the model have their plain names, others dotted ones.
    """
    told = [_told(entry, settings) for entry in (first, second)]
    names = dict.fromkeys(name for one in told for name in one)
    values = {name: (told[0].get(name), told[1].get(name)) for name in names}
    return {name: (value, other) for name, (value, other) in values.items() if value != other}


def told_settings(training: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a training report; what a search chose is replaced by what it could choose from."""
    settings, search = training["settings"], training["search"]
    if not search:
        return dict(settings)
    candidates = [trial["values"] for trial in search["trials"]]
    tried = {name for candidate in candidates for name in candidate}
    train = {name: value for name, value in settings["train"].items() if name not in tried}
    return {**settings, "train": {**train, "search": {"epochs": search["epochs"], "candidates": candidates}}}


def _told(entry: str, settings: Settings) -> dict[str, Any]:
    model, *others = ("model", "backbone", "train", "samples")
    sections = settings[entry.removesuffix(CRF)]
    told = {"CRF": "on" if entry.endswith(CRF) else "off", **sections[model]}
    told |= {f"{section}.{name}": value for section in others for name, value in sections[section].items()}
    told["dataset_fingerprint"] = sections["dataset_fingerprint"]
    return {name: value for name, value in told.items() if name not in ("name", "train.seeds")}


def _is_one_factor(idea: Sequence[str], found: Mapping[str, Any]) -> bool:
    return bool(found) and found.keys() <= set(idea)


def _judged_by(idea: Sequence[str], first: str, second: str, settings: Settings) -> str:
    """What a one-factor pair differs in, as a person reads it; or that whole models were compared."""
    found = differences(first, second, settings)
    if not _is_one_factor(idea, found):
        return "whole models"
    pairs = "; ".join(f"{name} {_shown(value)}, not {_shown(other)}" for name, (value, other) in found.items())
    return f"{ONE_FACTOR}{pairs}"


def _shown(value: Any) -> str:
    """A value as params.yaml has it."""
    if isinstance(value, bool):
        return f"{value}".lower()
    return "none" if value is None else f"{value}"


def _what_is_missing(
    claim: Claim, second: str, counts: Mapping[str, ClassPixels], classes: Mapping[MeasureName, Sequence[int]],
    failed: Mapping[str, str],
) -> str:  # fmt: skip
    """Why a claim cannot be judged; empty if it can."""
    for name in (claim.first, second):
        if name not in counts:
            model = name.removesuffix(CRF)
            return _why_missing(model if model in failed else name, failed)
    of_measure = list(classes[claim.measure])
    if not of_measure:
        return "params.yaml names no such classes"
    has_pixels = counts[claim.first].true[:, of_measure].any()
    return "" if has_pixels else "the test images have no pixel of these classes"


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
    first, whole, strided = "deeplab_v1", "fcn_32s", "deeplab_v1_strided"
    claim = Claim(says, first, whole, idea=STRIDE, without=strided)
    settings = {name: told_settings(results[name]["training"]) for name in (first, whole, strided) if name in results}
    second = _judged_against(claim, results, settings, failed) or whole
    for name in (first, second):
        if name not in results:
            return Finding(says, measure, first, second, _why_missing(name, failed), "not run")
    backbones = [settings[name]["backbone"]["name"] for name in (first, second)]
    if backbones[0] != backbones[1]:
        return Finding(says, measure, first, second, f"they have {' and '.join(backbones)}", "not run")
    atrous, coarse = (results[name]["training"]["backbone_parameters"] for name in (first, second))
    times = results[first]["latency"]["latency_ms"] / results[second]["latency"]["latency_ms"]
    difference = f"{atrous - coarse:+,}; an image takes {times:.1f} times as long"
    verdict: Verdict = "holds" if atrous == coarse else "does not hold"
    judged_by = _judged_by(claim.idea, first, second, settings)
    return Finding(says, measure, f"{first} {atrous:,}", f"{second} {coarse:,}", difference, verdict, judged_by)


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
        f"{times:.1f} times as fast; scores differ by {finest['largest_difference']:.0e} at most",
        "holds" if is_same and times > 1 else "does not hold",
        f"{ONE_FACTOR}convolutional, not slid; the same weights",
    )
