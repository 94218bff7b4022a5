"""Long tables for DVC's own plots, drawn by the templates in .dvc/plots."""

from collections.abc import Sequence

import pandas as pd

from segbench.labels import Classes
from segbench.report.drawing.confusion import LEAST_SHARE, MOST_CLASSES
from segbench.report.table.content import Entry
from segbench.report.table.results import ModelResults

CURVES = ["model", "seed", "epoch", "train_loss", "lr", "val_loss", "val_pixel_accuracy", "val_mean_iou"]


def curves_table(models: Sequence[ModelResults]) -> pd.DataFrame:
    """The learning curves of all models: one row per model, seed and epoch."""
    trained = [model.epochs.assign(model=model.name) for model in models if not model.epochs.empty]
    return pd.concat([pd.DataFrame(columns=CURVES), *trained], join="inner")


def confusion_table(entries: Sequence[Entry], classes: Classes) -> pd.DataFrame:
    """The confusion matrices of all entries: one row per pair of classes, with its share of the true class's pixels.

    Of more than MOST_CLASSES, only pairs with at least LEAST_SHARE, and each class with itself: all of 182 classes and
    22 entries would be 700,000 rows.
    """
    least = LEAST_SHARE if len(classes) > MOST_CLASSES else 0.0
    rows = [
        (entry.label, true, predicted, round(float(count / counts.sum()), 4))
        for entry in entries
        if entry.confusion is not None
        for true, counts in zip(classes.names, entry.confusion, strict=True)
        if counts.any()
        for predicted, count in zip(classes.names, counts, strict=True)
        if count >= least * counts.sum() or predicted == true
    ]
    return pd.DataFrame(rows, columns=["entry", "true", "predicted", "share"])
