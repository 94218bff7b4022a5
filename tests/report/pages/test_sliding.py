"""The page of the sliding window."""

from segbench.report.pages.sliding import sliding_markdown

FORM = {
    "stride": 1, "num_positions": 1000, "slid_ms": 50.0, "convolutional_ms": 2.0, "slid_multiply_adds": 10**9,
    "convolutional_multiply_adds": 10**8, "largest_difference": 1e-6, "largest_score": 5.0, "same_class": 1.0,
}  # fmt: skip


def test_there_is_one_row_per_stride() -> None:
    prediction = {
        "forms": [{**FORM, "stride": 2, "num_positions": 250}, FORM],
        "device": "a processor",
        "cores": 3,
        "input_px": "8x6",
    }
    training = {"settings": {"model": {"patch_px": 32}}}
    page = sliding_markdown({"training": training, "prediction": prediction}, failure=None, dataset="streets")
    _, _, *rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in page.splitlines() if line.startswith("|")
    ]
    assert [row[0] for row in rows] == ["2", "1"]
    assert rows[1] == ["1", "1,000", "50.0", "2.0", "25.0", "1.000", "0.100", "10.0", "1.0e-06", "100.00"]
    assert "patches" in page and "32x32 px" in page and "on a processor, 3 cores, for 8x6 px" in page


def test_without_the_model_the_page_says_so() -> None:
    assert sliding_markdown(None, failure=None, dataset="streets") == "sliding_window is not in the benchmark.\n"


def test_a_model_that_diverged_has_no_page() -> None:
    page = sliding_markdown(None, failure="diverged in epoch 3", dataset="streets")
    assert page == "sliding_window diverged in epoch 3.\n"
