"""The page of claims: its verdicts, its classes, and how the scores were measured."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from segbench.report.pages.claims import claims_markdown, describe_verdicts
from segbench.report.table.claims import CLAIMS, CONTEXT, THIN, Finding

FINDINGS = [
    Finding(
        "Skips help",
        "mIoU, %",
        "unet 60.0",
        "fcn_32s 50.0",
        "+10.0 [+8.0, +12.0]",
        "holds",
        "one factor: skips true, not false",
    ),
    Finding("Rates help", "mIoU, %", "a 50.0", "b 50.0", "+0.0 [-1.0, +1.0]", "undecided", "whole models"),
    Finding("A CRF helps", "mIoU, %", "a + CRF", "a", "a is not in the benchmark", "not run", ""),
    Finding("Pooling helps", "mIoU, %", "a", "b", "b is not in the benchmark", "not run", ""),
]


COST = Finding(
    "Atrous costs nothing",
    "parameters",
    "a 10",
    "b 10",
    "+0; an image takes 2.0 times as long",
    "holds",
    "whole models",
)


def a_page(
    *, num_blocks: int = 20, num_images: int = 20, num_trainings: dict[str, int] | None = None,
    findings: list[Finding] = FINDINGS, deviations: dict[str, Any] | None = None, rates: list[int] | None = None,
    left_out: Sequence[str] = (), trained: Sequence[str] = (), failed: Sequence[str] = (),
) -> str:  # fmt: skip
    model = {"output_stride": 16, "atrous_rates": rates or [6, 12]}
    settings = {"model": model, "samples": {"crop_px": [100, 160]}}
    return claims_markdown(
        findings, dataset="streets", num_images=num_images, num_blocks=num_blocks,
        num_trainings=num_trainings or {"unet": 1}, left_out=left_out,
        classes={"mIoU": ["road", "pole"], THIN: ["pole"], CONTEXT: []},
        absent=["pole"],
        results={
            name: {"training": {"settings": settings, "deviations": deviations or {}}}
            for name in ("deeplab_v3", *trained)
        },
        failed=failed,
    )  # fmt: skip


def test_the_page_counts_the_verdicts_and_names_the_classes() -> None:
    page = a_page(num_trainings={"fcn_32s": 1, "fcn_16s": 3})
    assert page.startswith("# Claims of a lecture on semantic segmentation, judged on streets\n")
    assert page.splitlines()[2] == "Of 4 claims: holds 1, undecided 1, not run 2. One-factor pairs judge 1 of them."
    assert "Trained with different seeds: fcn_16s 3 times, fcn_32s once." in page
    assert "- mIoU: road, pole (in no test image)\n- mIoU of thin classes: pole (in no test image)\n" in page
    assert "- mIoU of context classes: no classes" in page
    assert "- deeplab_v3: atrous rates 6, 12 on maps of 10x7 px while training" in page
    assert "- deeplab_v3: atrous rate 6 on maps" in a_page(rates=[6])


@pytest.mark.parametrize(
    ("num_images", "num_blocks", "expected"),
    [
        (
            20,
            20,
            "In brackets: the 95 % interval of the difference, from a paired, studentised bootstrap over images. ",
        ),
        (20, 5, "bootstrap over 5 blocks of images that resemble each other. "),
        (20, 1, "The test split is one block, so the 95 % intervals in brackets contain every possible difference. "),
        (1, 1, "The test split is one block, so the 95 % intervals in brackets contain every possible difference. "),
    ],
)
def test_blocks_are_named_where_images_resemble_each_other(num_images: int, num_blocks: int, expected: str) -> None:
    page = a_page(num_images=num_images, num_blocks=num_blocks)
    assert expected in page
    assert ("bootstrap" in page) == (num_blocks > 1)
    assert f"({num_images} image{'s' if num_images > 1 else ''})" in page


@pytest.mark.parametrize(
    ("findings", "expected"),
    [
        (FINDINGS, "corrected for 2 claims: in 95 of 100 such sets"),
        (FINDINGS[:1], ""),
        ([COST], ""),
        (FINDINGS[2:], ""),
    ],
)
def test_intervals_are_corrected_for_the_claims_that_have_one(findings: list[Finding], expected: str) -> None:
    page = a_page(findings=findings)
    assert expected in page and ("corrected" in page) == bool(expected)
    assert ("In brackets" in page) == any(finding.has_interval for finding in findings)


SCORES, COSTS = "A claim about scores holds if its interval lies above zero", "A claim about costs is judged by what"
WHOLE, PAIR = "Whole models may differ in more than", "A one-factor pair differs in nothing but"


@pytest.mark.parametrize(
    ("findings", "expected"),
    [
        ([*FINDINGS, COST], [SCORES, COSTS, PAIR, WHOLE]),
        (FINDINGS[:1], [SCORES, PAIR]),
        ([COST, FINDINGS[2]], [COSTS, WHOLE]),
        (FINDINGS[2:], []),
    ],
)
def test_verdicts_are_explained_as_they_were_reached(findings: list[Finding], expected: list[str]) -> None:
    texts = describe_verdicts(findings, repeated=[])
    assert [text.startswith(part) for text, part in zip(texts, expected, strict=True)] == [True] * len(expected)
    assert all(text in a_page(findings=findings) for text in texts)


@pytest.mark.parametrize(
    ("num_trainings", "expected"),
    [
        ({"unet": 1, "fcn_32s": 1}, "The intervals do not include differences between trainings."),
        ({"unet": 1, "fcn_32s": 3}, "The intervals include differences between trainings."),
        ({"unet": 1, "elsewhere": 3}, "The intervals do not include differences between trainings."),
    ],
)
def test_intervals_include_differences_between_trainings_where_these_are_known(
    num_trainings: dict[str, int], expected: str
) -> None:
    assert expected in a_page(num_trainings=num_trainings)


@pytest.mark.parametrize(
    ("deviations", "expected"),
    [
        ({}, ""),
        ({"seeds": [0, 1]}, ""),
        (
            {"lr": 0.5, "seeds": [0, 1], "loss": {"dice": 1.0}},
            "These models do not share all settings with the others: deeplab_v3 (lr 0.5, loss 1 dice).",
        ),
        ({"search": {"candidates": [{"lr": 0.5}, {"lr": 1.0}], "epochs": 2}}, "deeplab_v3 (search of 2 candidates)."),
    ],
)
def test_models_with_settings_of_their_own_are_named(deviations: dict[str, Any], expected: str) -> None:
    page = a_page(deviations=deviations)
    assert expected in page and ("do not share" in page) == bool(expected)


def test_a_verdict_that_longer_blocks_change_says_so() -> None:
    depends = replace(FINDINGS[0], with_longer_blocks="undecided")
    page = a_page(findings=[depends, FINDINGS[1]])
    assert "| holds; undecided with longer blocks |" in page and "resampled in blocks twice as long." in page
    assert "longer blocks" not in a_page().lower()


def test_images_that_are_left_out_are_named() -> None:
    assert "are made without" not in a_page()
    page = a_page(left_out=("test/a", "test/b"))
    assert "Scores are made without 2 of 22 test images, as params.yaml says: test/a and test/b. " in page


def test_the_page_says_what_each_claim_is_judged_by() -> None:
    header, _, *rows = [line for line in a_page().splitlines() if line.startswith("|")]
    judged_by = [line.strip("|").split("|")[-1].strip() for line in (header, *rows)]
    assert judged_by == ["Judged by", "one factor: skips true, not false", "whole models", "", ""]


def test_the_page_names_the_variants_of_its_models_that_were_not_asked_for() -> None:
    offered = "`benchmark.variants`, these would make more one-factor pairs: "
    assert f"{offered}deeplab_v3_one_rate, deeplab_v3_no_image_pooling.\n" in a_page()
    assert f"{offered}deeplab_v3_one_rate.\n" in a_page(failed=["deeplab_v3_no_image_pooling"])
    models = [claim.first for claim in CLAIMS]
    assert f"{offered}fcn_8s_bilinear, unet_no_skips, " in a_page(trained=models)
    variants = [claim.without for claim in CLAIMS if claim.without]
    assert "benchmark.variants" not in a_page(trained=[*models, *variants])
    assert f"{offered}fcn_8s_bilinear.\n" in a_page(trained=[*models, *variants[1:]])
