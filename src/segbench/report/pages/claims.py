"""The page of a lecture's claims: each with its two numbers and its verdict."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, get_args

from segbench.report.pages.listing import describe_trainings
from segbench.report.pages.markdown import table
from segbench.report.table.claims import CLAIMS, ONE_FACTOR, Finding, MeasureName, Verdict


def claims_markdown(
    findings: Sequence[Finding], *, dataset: str, num_images: int, num_blocks: int, num_trainings: Mapping[str, int],
    classes: Mapping[MeasureName, Sequence[str]], results: Mapping[str, Mapping[str, Any]],
) -> str:  # fmt: skip
    """The page. num_blocks: the test images were resampled in that many blocks; num_trainings: by model.

    classes: names of the classes that each measure averages; results: as for `judge_costs`.
    """
    counts = Counter(finding.verdict for finding in findings)
    verdicts = ", ".join(f"{verdict} {counts[verdict]}" for verdict in get_args(Verdict) if counts[verdict])
    rows = [
        [
            finding.says, finding.verdict, finding.measure, finding.first, finding.second, finding.difference,
            finding.judged_by,
        ]
        for finding in findings
    ]  # fmt: skip
    num_paired = sum(finding.judged_by.startswith(ONE_FACTOR) for finding in findings)
    resampled = "images" if num_blocks == num_images else f"{num_blocks} blocks of images that resemble each other"
    lines = [
        f"# Claims of a lecture on semantic segmentation, judged on {dataset}",
        "",
        f"Of {len(findings)} claims: {verdicts}. One-factor pairs judge {num_paired} of them.",
        "",
        *table(["Claim", "Verdict", "Measure", "This", "Against", "Difference", "Judged by"], rows, left=7),
        "",
        f"Scores are those of the {num_images} test images, by the protocol of [the table](benchmark.md). "
        f"{describe_trainings(num_trainings)}",
        "",
        "In brackets: the 95 % interval of the difference, from a paired, studentised bootstrap over "
        f"{resampled}. The intervals are corrected for the number of claims: in 95 of 100 such sets of test images, "
        "all of them hold at once. A claim holds if its interval lies above zero, does not hold if it lies below zero, "
        "and is undecided if it contains zero. The intervals do not include differences between trainings.",
        "",
        "A one-factor pair differs in nothing but the named parameters, by the settings that both were trained with. "
        "Whole models, as params.yaml defines them, may differ in more than the idea that the claim names."
        f"{_untrained_variants(results)}",
        "",
        *(f"- {measure}: {', '.join(members) or 'no classes'}" for measure, members in classes.items()),
        *_atrous_rates(results),
    ]
    return "\n".join(lines) + "\n"


def _untrained_variants(results: Mapping[str, Any]) -> str:
    """Which variants would make one-factor pairs, and were not trained."""
    untrained = dict.fromkeys(claim.without for claim in CLAIMS if claim.without and claim.without not in results)
    if not untrained:
        return ""
    return f" Named under `benchmark.variants`, these would make more one-factor pairs: {', '.join(untrained)}."


def _atrous_rates(results: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Atrous rates beside the size of the maps that they work on: a rate beyond it leaves only the middle weight."""
    lines = []
    for name, reports in results.items():
        model, samples = reports["training"]["settings"]["model"], reports["training"]["settings"]["samples"]
        rates = model.get("atrous_rates") or [model[key] for key in ("atrous_rate",) if key in model]
        if rates:
            height, width = (-(-side // model["output_stride"]) for side in samples["crop_px"])
            lines.append(f"- {name}: atrous rates {', '.join(map(str, rates))} on maps of {width}x{height} px")
    return lines
