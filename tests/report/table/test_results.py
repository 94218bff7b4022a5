"""From the stages' files to what the table says of one model."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from segbench.datasets.prepared import Prepared
from segbench.labels import Classes
from segbench.params.models import section_of
from segbench.report.drawing.pictures import write_contact_sheet
from segbench.report.table.comparison import Contender, compare
from segbench.report.table.failures import deviation_of, failure_of
from segbench.report.table.results import ModelResults
from segbench.scoring.counts import write_counts
from tests.report.sample_results import row
from tests.scoring.population import split_counts

CLASSES = Classes.of([("all", (0, 0, 0)), ("other", (9, 9, 9))])
PICTURED = [row("test", name, group=name, block=name) for name in ("a", "b")]
OFF, ON = (np.full((2, 2), label, np.uint8) for label in (0, 1))
LATENCY = {
    "latency_ms": 10.0, "latency_low_ms": 9.0, "latency_high_ms": 12.0, "latency_device": "a processor",
    "latency_cores": 2, "latency_input_px": "8x6",
}  # fmt: skip
CHOSEN = {"appearance_weight": 4.0, "steps": 5}


def write_results(
    folder: Path, architecture: str, *, chosen: dict[str, float] | None, failed: Sequence[dict[str, int]] = ()
) -> None:
    """What the stages leave of a model with two seeds and two epochs; the CRF takes 30 of 40 ms."""
    settings = {
        "model": {"name": "mine", "architecture": architecture},
        "backbone": {"name": "resnet18", "weights": "hub"},
        "train": {"epochs": 2, "seeds": [3, 4]},
        "samples": {"scale": 0.5, "crop_px": [96, 128]},
    }
    training = {
        "parameters": 11, "machines": ["one", "another"],
        "training_images_per_second": 12.0, "training_seconds": 13.0, "settings": settings,
        "search": None, "deviations": {"lr": 0.01, "seeds": [3, 4]}, "trainings": [{"seed": 3}, {"seed": 4}],
        "failed": failed,
    }  # fmt: skip
    contents: dict[str, dict[str, Any]] = {
        "training": training,
        "prediction": {"multiply_adds": 14, "peak_memory_mib": 15.0, "machine": "a third"},
        "crf": {"chosen": chosen, "latency_ms": 30.0 if chosen else 0},
    }
    for name, content in contents.items():
        (folder / f"{name}.json").write_text(json.dumps(content))
    counts = np.arange(16).reshape(2, 2, 2, 2)
    write_counts(folder / "counts.npz", {"off": split_counts(counts), "on": split_counts(counts[::-1])})
    epochs = {
        "seed": [3, 3, 4, 4], "epoch": [1, 2, 1, 2], "val_mean_iou": [None, 0.5, None, 0.25],
        "train_loss": [2.0, 1.0, 2.5, 1.5],
    }  # fmt: skip
    pd.DataFrame(epochs).to_csv(folder / "curves.csv", index=False)
    for name, label_map in (("label_maps", OFF), ("label_maps_crf", ON)):
        write_contact_sheet(folder / f"{name}.png", [label_map, label_map], CLASSES)


def contenders(
    folder: Path, architecture: str, *, chosen: dict[str, float] | None = CHOSEN
) -> tuple[Contender, Contender]:
    """Of the model without and with the CRF."""
    write_results(folder, architecture, chosen=chosen)
    off, on = ModelResults.read("mine", folder, latency=LATENCY).contenders(PICTURED)
    assert (off.label, on.label) == ("mine", "mine + CRF")
    return off, on


WITH_CRF = {"deeplab_v1", "deeplab_v2"}
WITHOUT_CRF = {
    "color_clusters", "sliding_window", "fcn", "unet", "pspnet", "deeplab_v3", "deeplab_v3_plus",
}  # fmt: skip


def test_the_papers_of_deeplab_v1_and_v2_end_with_a_crf_and_no_others() -> None:
    credited = {name for name in WITH_CRF | WITHOUT_CRF if section_of(name).ends_with_crf}
    assert credited == WITH_CRF


@pytest.mark.parametrize(("architecture", "has_crf"), [("deeplab_v2", True), ("unet", False)])
def test_the_entry_with_the_papers_crf_is_as_in_the_paper(tmp_path: Path, architecture: str, has_crf: bool) -> None:
    off, on = contenders(tmp_path, architecture)
    assert (off.as_in_paper, on.as_in_paper) == (not has_crf, has_crf)


def test_the_latency_has_the_crf_where_it_is_on(tmp_path: Path) -> None:
    off, on = contenders(tmp_path, "unet")
    assert off.costs is not None and on.costs is not None
    assert (off.costs.latency_ms, on.costs.latency_ms) == (10, 40)
    assert (off.costs.latency_low_ms, off.costs.latency_high_ms) == (9, 12)
    assert on.costs.latency_low_ms is on.costs.latency_high_ms is None, "the CRF was timed elsewhere"
    for costs in (off.costs, on.costs):
        assert (costs.parameters, costs.multiply_adds, costs.peak_memory_mib) == (11, 14, 15)
        assert (costs.latency_device, costs.latency_cores, costs.latency_input_px) == ("a processor", 2, "8x6")
        assert (costs.training_images_per_second, costs.training_seconds) == (12, 13)
        assert (costs.trained_on, costs.predicted_on) == ("one, then another", "a third")


def test_both_have_their_own_counts_pictures_and_settings(tmp_path: Path) -> None:
    off, on = contenders(tmp_path, "unet")
    np.testing.assert_array_equal(off.counts.confusions[0], on.counts.confusions[1])
    assert (off.counts.confusions != on.counts.confusions).all()
    for contender, label_map in ((off, OFF), (on, ON)):
        np.testing.assert_array_equal(contender.label_maps, [label_map, label_map])
        assert contender.deviations == ("lr 0.01", "seeds [3, 4]")
    expected = {
        "backbone": "resnet18", "weights": "hub", "searched": "", "epochs": "2", "seeds": "3 4", "input_scale": "0.5",
        "crop_px": "128x96", "crf_parameters": "",
    }  # fmt: skip
    assert off.protocol == expected
    assert on.protocol == {**expected, "crf_parameters": "appearance_weight 4, steps 5"}


def test_scores_of_some_trainings_are_a_deviation(tmp_path: Path) -> None:
    write_results(tmp_path, "unet", chosen=CHOSEN, failed=[{"seed": 5, "epoch": 1}])
    for contender in ModelResults.read("mine", tmp_path, latency=LATENCY).contenders(PICTURED):
        assert contender.deviations[-1] == "2 of 3 trainings; seed 5 diverged in epoch 1"


def test_why_a_model_has_no_scores() -> None:
    one, other = {"seed": 0, "epoch": 3}, {"seed": 2, "epoch": 1}
    assert failure_of({"trainings": [], "failed": [one]}) == "diverged in epoch 3"
    both = "seed 0 diverged in epoch 3, seed 2 diverged in epoch 1"
    assert failure_of({"trainings": [], "failed": [one, other]}) == both
    assert failure_of({"trainings": [{"seed": 1}], "failed": [one]}) == ""
    on_cluster = {"seed": 0, "epoch": None, "why": "OSError: no room (see failed.log)"}
    assert failure_of({"trainings": [], "failed": [on_cluster]}) == "failed: OSError: no room (see failed.log)"
    assert deviation_of({"trainings": [], "failed": [one]}) == ""


def test_a_crf_that_was_left_out_costs_nothing(tmp_path: Path) -> None:
    _, on = contenders(tmp_path, "deeplab_v1", chosen=None)
    assert on.costs is not None and on.costs.latency_ms == 10
    assert on.protocol["crf_parameters"] == ""


def test_there_is_a_learning_curve_for_each_seed(tmp_path: Path) -> None:
    write_results(tmp_path, "unet", chosen=None)
    first, second = ModelResults.read("mine", tmp_path, latency=LATENCY).curves
    assert first.epochs == second.epochs == (1, 2)
    np.testing.assert_equal((first.mean_iou, second.mean_iou), ((np.nan, 0.5), (np.nan, 0.25)))
    assert (first.train_loss, second.train_loss) == ((2.0, 1.0), (2.5, 1.5))


def test_an_entry_of_the_table_has_all_that_its_contender_has(tmp_path: Path) -> None:
    data = Prepared(Path(), CLASSES, fingerprint="", rows=(row("train", "t", group="t", block="t"), *PICTURED))
    counts = split_counts(np.ones((1, 2, 2, 2), np.int64))
    both = [replace(contender, counts=counts) for contender in contenders(tmp_path, "deeplab_v2")]
    entries = compare(both, data).entries
    for contender in both:
        (entry,) = (entry for entry in entries if entry.label == contender.label)
        assert entry.costs == contender.costs
        assert (entry.deviations, entry.as_in_paper) == (contender.deviations, contender.as_in_paper)
        assert entry.protocol == {"split": "test", "resolution_px": "2x2", **contender.protocol}
