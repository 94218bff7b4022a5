"""The page that compares sliding a window with its convolutional form."""

from collections.abc import Mapping
from typing import Any

from segbench.report.pages.markdown import table
from segbench.report.table.numbers import counted


def sliding_markdown(results: Mapping[str, Any] | None, *, failure: str | None, dataset: str) -> str:
    """The page. results: the `training` and `prediction` reports of sliding_window; None: it has none.

    failure: why it has none, such as `diverged in epoch 3`, if it is in the benchmark.
    """
    if results is None:
        return f"sliding_window {failure or 'is not in the benchmark'}.\n"
    first, *others = results["training"]["trainings"]
    seed = f", with the first seed, {first['seed']}" if others else ""
    forms, patch_px = results["prediction"]["forms"], results["training"]["settings"]["model"]["patch_px"]
    rows = [
        [
            str(form["stride"]), f"{form['num_positions']:,}",
            f"{form['slid_ms']:.1f}", f"{form['convolutional_ms']:.1f}",
            f"{form['slid_ms'] / form['convolutional_ms']:.1f}", f"{form['slid_multiply_adds'] / 1e9:.3f}",
            f"{form['convolutional_multiply_adds'] / 1e9:.3f}",
            f"{form['slid_multiply_adds'] / form['convolutional_multiply_adds']:.1f}",
            f"{form['largest_difference']:.1e}", f"{100 * form['same_class']:.2f}",
        ]
        for form in forms
    ]  # fmt: skip
    header = [
        "Stride (px)", "Positions", "Slid (ms)", "Convolutional (ms)", "Ratio of times", "Slid (GMAC)",
        "Convolutional (GMAC)", "Ratio of GMAC", "Largest score difference", "Same class %",
    ]  # fmt: skip
    lines = [
        f"# Sliding window and convolution on {dataset}",
        "",
        f"The trained classifier of {patch_px}x{patch_px} px patches, applied around positions of one test image, or "
        "of its middle if it is large. Slid: each patch is cut out and classified by itself. Convolutional: the fully "
        "connected layers are convolutions, so that overlapping patches share their computations.",
        "",
        *table(header, rows, left=0),
        "",
        "Times are medians of several runs in float32; the two forms run in turn. GMAC: thousand million "
        "multiply-adds. Ratios: slid to convolutional. "
        f"The largest score, without its sign, is {max(form['largest_score'] for form in forms):.1f}. "
        f"Times on {results['prediction']['device']}, {counted(results['prediction']['cores'], 'core')}, for "
        f"{results['prediction']['input_px']} px. "
        f"Trained by the protocol of [the table](benchmark.md){seed}.",
    ]
    return "\n".join(lines) + "\n"
