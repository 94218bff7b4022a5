"""Long tables for DVC's own plots, which draw them by the templates in .dvc/plots."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from segbench.files import replacing
from segbench.labels import Classes
from segbench.report.table.content import Entry
from segbench.report.table.results import ModelResults


def write_curves(path: Path, models: Sequence[ModelResults]) -> None:
    """The learning curves of all models: a row a model, seed and epoch."""
    rows = ({"model": model.name, **epoch} for model in models for epoch in model.epochs)
    _write(path, ["model", "seed", "epoch", "train_loss", "lr", "val_loss", "val_pixel_accuracy", "val_mean_iou"], rows)


def write_confusions(path: Path, entries: Iterable[Entry], classes: Classes) -> None:
    """The confusion matrices of all entries: a row a pair of classes, with its share of the true class's pixels."""
    rows = (
        {"entry": entry.label, "true": true, "predicted": predicted, "share": round(float(count / total), 4)}
        for entry in entries
        if entry.confusion is not None
        for true, counts in zip(classes.names, entry.confusion, strict=True)
        if (total := counts.sum())
        for predicted, count in zip(classes.names, counts, strict=True)
    )
    _write(path, ["entry", "true", "predicted", "share"], rows)


def _write(path: Path, names: Sequence[str], rows: Iterable[Mapping[str, object]]) -> None:
    with replacing(path) as temporary, temporary.open("w", newline="") as file:
        writer = csv.DictWriter(file, names, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
