"""The sliding window and its convolutional form, side by side."""

from collections.abc import Mapping, Sequence
from typing import Any

from segbench.report.pages.markdown import table


def sliding_markdown(forms: Sequence[Mapping[str, Any]], *, dataset: str, patch_px: int, machine: str) -> str:
    """The page. forms: the costs of both at each stride, as the predict stage wrote them."""
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
        "Stride (px)", "Positions", "Slid (ms)", "Convolutional (ms)", "Times faster", "Slid (GMAC)",
        "Convolutional (GMAC)", "Times fewer", "Largest score difference", "Same class %",
    ]  # fmt: skip
    lines = [
        f"# Sliding window and convolution on {dataset}",
        "",
        f"The trained classifier of {patch_px}x{patch_px} px patches, around positions of one test image, or of its "
        "middle if it is large. Slid: each patch is cut out and classified by itself. Convolutional: the fully "
        "connected layers are convolutions, so that overlapping patches share what they have in common.",
        "",
        *table(header, rows, left=0),
        "",
        "Medians of runs in float32, taken in turn. GMAC: thousand million multiply-adds. The largest score is "
        f"{max(form['largest_score'] for form in forms):.1f}. Machine: {machine}. "
        "Trained by the protocol of [the table](benchmark.md).",
    ]
    return "\n".join(lines) + "\n"
