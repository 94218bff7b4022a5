"""The tables of DVC's plots."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from segbench.files import write_csv
from segbench.report.drawing.confusion import MOST_CLASSES
from segbench.report.pages.plots import confusion_table, curves_table
from segbench.report.table.results import ModelResults
from tests.report.sample_pages import a_page, some_classes

HEADER = "seed,epoch,train_loss,lr,seconds,val_loss,val_pixel_accuracy,val_mean_iou\n"


def results(name: str, rows: str, folder: Path) -> ModelResults:
    (folder / f"{name}.csv").write_text(HEADER + rows)
    epochs = pd.read_csv(folder / f"{name}.csv", float_precision="round_trip")
    return ModelResults(
        name, folder, training={}, prediction={}, crf={}, latency={}, counts={}, epochs=epochs, ends_with_crf=False
    )  # fmt: skip


def test_curves_have_one_row_per_model_seed_and_epoch_digit_by_digit(tmp_path: Path) -> None:
    models = [
        results("clusters", "", tmp_path),
        results(
            "unet", "0,1,1.60,0.00019047619047619048,5.8,,,\n0,2,0.5,0.004,5.7,0.25,0.75,0.4811898171901703\n", tmp_path
        ),
        results("fcn", "3,1,1.0,1e-05,5.8,,,\n", tmp_path),
    ]
    write_csv(tmp_path / "curves.csv", curves_table(models))
    assert (tmp_path / "curves.csv").read_text().splitlines() == [
        "model,seed,epoch,train_loss,lr,val_loss,val_pixel_accuracy,val_mean_iou",
        "unet,0,1,1.6,0.00019047619047619048,,,",
        "unet,0,2,0.5,0.004,0.25,0.75,0.4811898171901703",
        "fcn,3,1,1.0,1e-05,,,",
    ]
    assert curves_table(models[:1]).empty


def test_confusions_are_shares_of_the_true_class() -> None:
    classes = some_classes(3)
    page = a_page(models=("unet",), classes=classes, num_images=1, height_px=16, width_px=24)
    table = confusion_table(page.entries, classes)
    assert len(table) == 2 * 3 * 3
    assert table["entry"].unique().tolist() == ["unet + CRF", "unet"]
    counts = page.entries[1].confusion
    assert counts is not None
    row = table[(table["entry"] == "unet") & (table["true"] == "class 1") & (table["predicted"] == "class 2")]
    assert row["share"].tolist() == [round(counts[1, 2] / counts[1].sum(), 4)]
    assert abs(table.groupby(["entry", "true"])["share"].sum() - 1).max() < 2e-4


def test_of_many_classes_only_pairs_that_matter_are_in_the_table() -> None:
    classes = some_classes(MOST_CLASSES + 1)
    page = a_page(models=("unet",), classes=classes, num_images=1, height_px=16, width_px=24)
    counts = np.zeros((len(classes), len(classes)), np.int64)
    counts[0, :4] = 1, 994, 5, 0  # itself, and shares of 0.994 and 0.005
    counts[1, :4] = 0, 996, 4, 0
    table = confusion_table([replace(page.entries[0], confusion=counts)], classes)
    assert table[["true", "predicted", "share"]].to_numpy().tolist() == [
        ["class 0", "class 0", 0.001],
        ["class 0", "class 1", 0.994],
        ["class 0", "class 2", 0.005],
        ["class 1", "class 1", 0.996],
    ]
