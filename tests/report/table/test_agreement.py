"""A table refuses trainings that were told different things, unless it names the difference."""

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from segbench.errors import InputError
from segbench.report.table.agreement import check_agreement, check_any_trained

REPORT: dict[str, Any] = {
    "machines": ["one"],
    "deviations": {},
    "search": None,
    "settings": {
        "dataset": "scenes",
        "dataset_fingerprint": "f0",
        "backbone": {"name": "resnet18", "weights": "none"},
        "train": {"lr": 0.004, "epochs": 2, "seeds": [0], "precision": "float32", "loss": {"dice": 1}},
        "samples": {"seed": 0, "transforms": [{"HorizontalFlip": {"p": 0.5}}]},
    },
}
TRIALS = [{"values": {"lr": 0.1}}, {"values": {"lr": 0.2}}]


def check(
    change: Callable[[dict[str, Any]], Any], common: Callable[[dict[str, Any]], Any] = lambda report: None
) -> None:
    """Of three trainings, `change` is done to the report of the second, and `common` to those of all."""
    reports = {model: deepcopy(REPORT) for model in ("fcn", "unet", "pspnet")}
    for report in reports.values():
        common(report)
    change(reports["unet"])
    check_agreement(reports, fingerprint="f0", results=Path("reports"))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda r: r["settings"]["train"].update(lr=0.1), r"train.lr is 0.1, but 0.004 of fcn, and no deviation says"),
        (lambda r: r["settings"]["train"].update(lr=0.1, epochs=3), r"train.lr is 0.1(?s:.*)train.epochs is 3"),
        (lambda r: r["settings"]["train"].update(precision="bfloat16"), r"train.precision is bfloat16"),
        (lambda r: r["settings"]["samples"].update(seed=1), r"samples.seed is 1, but 0 of fcn"),
        (lambda r: r["settings"]["samples"]["transforms"].clear(), r"samples.transforms is \[\]"),
        (lambda r: r["settings"]["backbone"].update(weights="hub"), r"backbone is not as that of fcn"),
        (lambda r: r["settings"].update(dataset_fingerprint="f1"), r"is f1, but f0 of the prepared dataset"),
        (lambda r: r.update(deviations={"lr": 0.004}) or r["settings"]["train"].update(epochs=3), r"train.epochs is 3"),
    ],
)
def test_a_difference_that_nothing_names_is_refused(change: Callable[[dict[str, Any]], Any], told: str) -> None:
    with pytest.raises(InputError, match=rf"^reports/unet/training.json: (?s:.*){told}") as raised:
        check(change)
    assert "dvc repro -f train@scenes-unet" in str(raised.value)


@pytest.mark.parametrize(
    "change",
    [
        lambda r: None,
        lambda r: r.update(deviations={"lr": 0.1}) or r["settings"]["train"].update(lr=0.1),
        lambda r: r.update(deviations={"backbone": "none"}) or r["settings"]["backbone"].update(name="none"),
        lambda r: r.update(machines=["another"]) or r["settings"]["train"].update(precision="bfloat16"),
    ],
)
def test_what_is_equal_or_named_is_compared(change: Callable[[dict[str, Any]], Any]) -> None:
    check(change)


def test_what_a_search_found_may_differ_but_not_what_it_tried() -> None:
    def with_search(report: dict[str, Any]) -> None:
        report["search"] = {"epochs": 1, "trials": deepcopy(TRIALS), "best": {"lr": 0.1}}

    check(lambda r: r["search"].update(best={"lr": 0.2}) or r["settings"]["train"].update(lr=0.2), with_search)
    with pytest.raises(
        InputError, match=r"search.candidates is \[{'lr': 0.1}\], but \[{'lr': 0.1}, {'lr': 0.2}\] of fcn"
    ):
        check(lambda r: r["search"]["trials"].pop(), with_search)
    with pytest.raises(InputError, match=r"search.epochs is 2, but 1 of fcn"):
        check(lambda r: r["search"].update(epochs=2), with_search)


def test_all_trainings_may_not_be_of_other_data_than_the_prepared() -> None:
    with pytest.raises(InputError, match=r"fcn/training.json(?s:.*)unet/training.json(?s:.*)pspnet/training.json"):
        check(lambda r: None, lambda r: r["settings"].update(dataset_fingerprint="f1"))


def test_why_nothing_can_be_compared_is_said_of_each_model() -> None:
    diverged, killed = {"unet": "diverged in epoch 3"}, {"fcn": "failed: memory is full"}
    check_any_trained({**diverged, "pspnet": ""}, results=Path("reports"))
    with pytest.raises(
        InputError, match=r"^reports: no model has scores, .*: unet diverged in epoch 3; lower train.lr$"
    ):
        check_any_trained(diverged, results=Path("reports"))
    with pytest.raises(InputError, match=r": unet diverged in epoch 3, fcn failed: memory is full$"):
        check_any_trained(diverged | killed, results=Path("reports"))
