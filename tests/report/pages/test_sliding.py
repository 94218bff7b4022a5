"""The page of the sliding window."""

import pytest

from segbench.report.pages.sliding import sliding_markdown

FORM = {
    "stride": 1, "num_positions": 1000, "slid_ms": 50.0, "convolutional_ms": 2.0, "slid_multiply_adds": 10**9,
    "convolutional_multiply_adds": 10**8, "largest_difference": 1e-6, "largest_score": 5.0, "same_class": 1.0,
}  # fmt: skip


CONDITIONS = {"device": "a processor", "cores": 3, "input_px": "8x6"}


def test_there_is_one_row_per_stride() -> None:
    prediction = {**CONDITIONS, "forms": [{**FORM, "stride": 2, "num_positions": 250}, FORM]}
    training = {"settings": {"model": {"patch_px": 32}}, "trainings": [{"seed": 0}]}
    page = sliding_markdown({"training": training, "prediction": prediction}, failure=None, dataset="streets")
    _, _, *rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in page.splitlines() if line.startswith("|")
    ]
    assert [row[0] for row in rows] == ["2", "1"]
    assert rows[1] == ["1", "1,000", "50.0", "2.0", "25.0", "1.000", "0.100", "10.0", "1.0e-06", "100.00"]
    assert "patches" in page and "32x32 px" in page and "on a processor, 3 cores, for 8x6 px" in page


@pytest.mark.parametrize(
    ("seeds", "expected"),
    [
        ((3,), "Trained by the protocol of [the table](benchmark.md)."),
        ((3, 4), "(benchmark.md), with the first seed, 3."),
    ],
)
def test_the_first_of_several_trainings_is_named(seeds: tuple[int, ...], expected: str) -> None:
    training = {"settings": {"model": {"patch_px": 32}}, "trainings": [{"seed": seed} for seed in seeds]}
    prediction = {**CONDITIONS, "forms": [FORM]}
    page = sliding_markdown({"training": training, "prediction": prediction}, failure=None, dataset="streets")
    assert page.endswith(f"{expected}\n")


def test_a_form_that_is_slower_is_not_called_faster() -> None:
    training = {"settings": {"model": {"patch_px": 32}}, "trainings": [{"seed": 0}]}
    slower = {**FORM, "convolutional_ms": 100.0, "convolutional_multiply_adds": 2 * 10**9}
    prediction = {**CONDITIONS, "forms": [slower]}
    page = sliding_markdown({"training": training, "prediction": prediction}, failure=None, dataset="streets")
    assert "| Ratio of times |" in page and "| Ratio of GMAC |" in page and "Ratios: slid to convolutional." in page
    assert "|            0.5 |" in page


def test_without_the_model_the_page_says_so() -> None:
    assert sliding_markdown(None, failure=None, dataset="streets") == "sliding_window is not in the benchmark.\n"


def test_a_model_that_diverged_has_no_page() -> None:
    page = sliding_markdown(None, failure="diverged in epoch 3", dataset="streets")
    assert page == "sliding_window diverged in epoch 3.\n"
