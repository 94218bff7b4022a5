"""The page of claims: its verdicts, its classes, and how the scores were measured."""

from collections.abc import Sequence

from segbench.report.pages.claims import claims_markdown
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


def a_page(*, num_blocks: int = 20, num_trainings: dict[str, int], trained: Sequence[str] = ()) -> str:
    model = {"output_stride": 16, "atrous_rates": [6, 12]}
    of_trained = {"training": {"settings": {"model": model, "samples": {"crop_px": [100, 160]}}}}
    return claims_markdown(
        FINDINGS, dataset="streets", num_images=20, num_blocks=num_blocks, num_trainings=num_trainings,
        classes={"mIoU": ["road", "pole"], THIN: ["pole"], CONTEXT: []},
        results=dict.fromkeys(["deeplab_v3", *trained], of_trained),
    )  # fmt: skip


def test_the_page_counts_the_verdicts_and_names_the_classes() -> None:
    page = a_page(num_trainings={"fcn_32s": 1, "fcn_16s": 3})
    assert page.startswith("# Claims of a lecture on semantic segmentation, judged on streets\n")
    assert page.splitlines()[2] == "Of 4 claims: holds 1, undecided 1, not run 2. One-factor pairs judge 1 of them."
    assert "Trained with different seeds: fcn_16s 3 times, the others once." in page
    assert "- mIoU of thin classes: pole" in page
    assert "- mIoU of context classes: no classes" in page
    assert "- deeplab_v3: atrous rates 6, 12 on maps of 10x7 px" in page


def test_the_page_says_what_each_claim_is_judged_by() -> None:
    header, _, *rows = [line for line in a_page(num_trainings={"unet": 1}).splitlines() if line.startswith("|")]
    judged_by = [line.strip("|").split("|")[-1].strip() for line in (header, *rows)]
    assert judged_by == ["Judged by", "one factor: skips true, not false", "whole models", "", ""]


def test_the_page_names_the_variants_that_were_not_trained() -> None:
    offered = "`benchmark.variants`, these would make more one-factor pairs: fcn_8s_bilinear, unet_no_skips, "
    assert offered in a_page(num_trainings={"unet": 1})
    variants = [claim.without for claim in CLAIMS if claim.without]
    assert "benchmark.variants" not in a_page(num_trainings={"unet": 1}, trained=variants)
    assert "pairs: fcn_8s_bilinear.\n" in a_page(num_trainings={"unet": 1}, trained=variants[1:])


def test_blocks_are_named_where_images_resemble_each_other() -> None:
    assert "bootstrap over images." in a_page(num_trainings={"unet": 1})
    assert "bootstrap over 5 blocks of images that resemble" in a_page(num_blocks=5, num_trainings={"unet": 1})
