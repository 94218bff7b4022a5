"""The page of a lecture's claims: each with its two numbers and its verdict."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any, get_args

from segbench.report.pages.listing import describe_left_out, describe_trainings
from segbench.report.pages.markdown import table
from segbench.report.table.claims import CLAIMS, CRF, ONE_FACTOR, Finding, MeasureName, Verdict
from segbench.report.table.numbers import counted, setting


def claims_markdown(
    findings: Sequence[Finding], *, dataset: str, num_images: int, num_blocks: int, num_trainings: Mapping[str, int],
    left_out: Sequence[str], classes: Mapping[MeasureName, Sequence[str]], absent: Collection[str],
    results: Mapping[str, Mapping[str, Any]], failed: Collection[str],
) -> str:  # fmt: skip
    """The page. num_blocks: the test images were resampled in that many blocks; num_trainings: by model.

    left_out: names of the test images that scores leave out; classes: names of the classes that each measure averages;
    absent: those of which the test images have no pixel; results: as for `judge_costs`; failed: models and variants
    without scores.
    """
    counts = Counter(finding.verdict for finding in findings)
    verdicts = ", ".join(f"{verdict} {counts[verdict]}" for verdict in get_args(Verdict) if counts[verdict])
    rows = [
        [
            finding.says, finding.full_verdict, finding.measure, finding.first, finding.second, finding.difference,
            finding.judged_by,
        ]
        for finding in findings
    ]  # fmt: skip
    num_paired = sum(finding.judged_by.startswith(ONE_FACTOR) for finding in findings)
    repeated = [model for model, number in num_trainings.items() if number > 1]
    without = describe_left_out(left_out, num_images=num_images)
    lines = [
        f"# Claims of a lecture on semantic segmentation, judged on {dataset}",
        "",
        f"Of {counted(len(findings), 'claim')}: {verdicts}. One-factor pairs judge {num_paired} of them.",
        "",
        *table(["Claim", "Verdict", "Measure", "This", "Against", "Difference", "Judged by"], rows, left=7),
        "",
        f"Scores are those of the test split ({counted(num_images, 'image')}), by the protocol of "
        f"[the table](benchmark.md). {' '.join(filter(None, [without, describe_trainings(num_trainings)]))}",
        "",
        " ".join([
            *_resampling(findings, num_images=num_images, num_blocks=num_blocks),
            *describe_verdicts(findings, repeated=repeated), *_own_settings(results),
            *_untrained_variants(results, failed),
        ]),
        "",
        *(
            f"- {measure}: {', '.join(f'{name} (in no test image)' if name in absent else name for name in members)}"
            if members
            else f"- {measure}: no classes"
            for measure, members in classes.items()
        ),
        *_atrous_rates(results),
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def describe_verdicts(findings: Sequence[Finding], *, repeated: Sequence[str]) -> list[str]:
    """How the claims that were judged were judged. repeated: models that were trained several times.

    If one of them is in a claim, intervals include how much scores differ between trainings.
    """
    judged = [finding for finding in findings if finding.verdict != "not run"]
    with_interval = [finding for finding in judged if finding.has_interval]
    texts = []
    if with_interval:
        named = {shown.split(" ")[0] for finding in with_interval for shown in (finding.first, finding.second)}
        include = "include" if named & set(repeated) else "do not include"
        texts.append(
            "A claim about scores holds if its interval lies above zero, does not hold if it lies below zero, and is "
            f"undecided if it contains zero. The intervals {include} differences between trainings."
        )
    if any(finding.with_longer_blocks for finding in judged):
        texts.append("Longer blocks: the test images are resampled in blocks twice as long.")
    if any(not finding.has_interval for finding in judged):
        texts.append("A claim about costs is judged by what was measured, without an interval.")
    by_pair = [finding for finding in judged if finding.judged_by.startswith(ONE_FACTOR)]
    if by_pair:
        texts.append("A one-factor pair differs in nothing but the named parameters.")
    if len(by_pair) < len(judged):
        texts.append("Whole models may differ in more than the idea that a claim names.")
    return texts


def _resampling(findings: Sequence[Finding], *, num_images: int, num_blocks: int) -> list[str]:
    number = sum(finding.has_interval for finding in findings)
    if not number:
        return []
    if num_blocks == 1:
        return ["The test split is one block, so the 95 % intervals in brackets contain every possible difference."]
    resampled = "images" if num_blocks == num_images else f"{num_blocks} blocks of images that resemble each other"
    interval = "the 95 % interval of the difference, from a paired, studentised bootstrap"
    texts = [f"In brackets: {interval} over {resampled}."]
    if number > 1:
        texts.append(
            f"The intervals are corrected for {number} claims: in 95 of 100 such sets of test images, all of them "
            "contain the true difference at once."
        )
    return texts


def _own_settings(results: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The models of the claims that were not trained as the others; several seeds are said elsewhere."""
    entries = {entry for claim in CLAIMS for entry in (claim.first, claim.second, claim.without) if entry}
    named = {entry.removesuffix(CRF) for entry in entries}
    own = []
    for name, reports in results.items():
        deviations = {key: value for key, value in reports["training"]["deviations"].items() if key != "seeds"}
        if deviations and name in named:
            own.append(f"{name} ({', '.join(f'{key} {setting(value)}' for key, value in deviations.items())})")
    return [f"These models do not share all settings with the others: {'; '.join(own)}."] if own else []


def _untrained_variants(results: Collection[str], failed: Collection[str]) -> list[str]:
    """Which variants of the benchmark's models would make one-factor pairs, and were not asked for."""
    asked_for = {*results, *failed}
    offered = (claim.without for claim in CLAIMS if claim.without and claim.first in results)
    untrained = dict.fromkeys(variant for variant in offered if variant not in asked_for)
    if not untrained:
        return []
    return [f"Named under `benchmark.variants`, these would make more one-factor pairs: {', '.join(untrained)}."]


def _atrous_rates(results: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Atrous rates beside the size of the maps that they work on: a rate beyond it leaves only the middle weight."""
    lines = []
    for name, reports in results.items():
        model, samples = reports["training"]["settings"]["model"], reports["training"]["settings"]["samples"]
        rates = model.get("atrous_rates") or [model[key] for key in ("atrous_rate",) if key in model]
        if rates:
            height, width = (-(-side // model["output_stride"]) for side in samples["crop_px"])
            listed = f"atrous rate{'s' if len(rates) > 1 else ''} {', '.join(map(str, rates))}"
            lines.append(f"- {name}: {listed} on maps of {width}x{height} px while training")
    return lines
