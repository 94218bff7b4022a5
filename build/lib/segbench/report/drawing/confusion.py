"""A confusion matrix as a figure."""

from pathlib import Path

import numpy as np

from segbench.files import replacing
from segbench.labels import Classes
from segbench.scoring.metrics import Counts

MOST_CLASSES = 40
"""Larger matrices have cells too small for numbers, and take megabytes on a page and in a table."""
LEAST_SHARE = 0.005
"""Smaller shares of a true class are left out where there is no room for all."""


def write_confusion(path: Path, confusion: Counts, classes: Classes, *, title: str) -> None:
    """Write the shares of each true class as a PNG: in per cent, or as colours alone of more than MOST_CLASSES."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    totals = confusion.sum(axis=1, keepdims=True)
    shares = np.divide(confusion, totals, out=np.zeros(confusion.shape), where=totals > 0)
    side = 2.5 + 0.5 * min(len(classes), MOST_CLASSES)
    figure, axes = plt.subplots(figsize=(side, side), layout="constrained")
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set_xticks(range(len(classes)), classes.names, rotation=60, ha="right")
    axes.set_yticks(range(len(classes)), classes.names)
    if len(classes) > MOST_CLASSES:
        axes.tick_params(labelsize=50 * side / len(classes))  # points: two thirds of a cell
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")
    axes.set_title(title)
    for (row, column), share in np.ndenumerate(shares):
        if share >= LEAST_SHARE and len(classes) <= MOST_CLASSES:
            color = "white" if share > 0.5 else "black"
            axes.text(column, row, f"{100 * share:.0f}", ha="center", va="center", color=color, fontsize=8)
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=110)
    plt.close(figure)
