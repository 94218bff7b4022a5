"""A confusion matrix as a figure."""

from pathlib import Path

import numpy as np

from segbench.files import replacing
from segbench.labels import Classes
from segbench.scoring.metrics import Counts


def write_confusion(path: Path, confusion: Counts, classes: Classes, *, title: str) -> None:
    """Write the shares of each true class, in per cent, as a PNG."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    totals = confusion.sum(axis=1, keepdims=True)
    shares = np.divide(confusion, totals, out=np.zeros(confusion.shape), where=totals > 0)
    side = 2.5 + 0.5 * len(classes)
    figure, axes = plt.subplots(figsize=(side, side), layout="constrained")
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set_xticks(range(len(classes)), classes.names, rotation=60, ha="right")
    axes.set_yticks(range(len(classes)), classes.names)
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")
    axes.set_title(title)
    for (row, column), share in np.ndenumerate(shares):
        if share >= 0.005:
            color = "white" if share > 0.5 else "black"
            axes.text(column, row, f"{100 * share:.0f}", ha="center", va="center", color=color, fontsize=8)
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=110)
    plt.close(figure)
