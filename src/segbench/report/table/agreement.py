"""The trainings that a table compares were told the same, except for what the table names as a deviation."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from segbench.errors import InputError, raise_listed

MOST_SHOWN = 60
DATA = "dataset_fingerprint"


def check_agreement(trainings: Mapping[str, dict[str, Any]], *, fingerprint: str, results: Path) -> None:
    """Raise InputError, with a line for each value, if trainings were told different values that nothing names.

    trainings: the reports of the stage `train`, by model. Their schedules, backbones, samples and data must be equal,
    but for the deviations that a report names and what a search found for the model. fingerprint: of the prepared
    dataset, which all must have been trained on. results: the folder of the reports, for the message.
    """
    first: dict[tuple[str, ...], tuple[str, Any]] = {}
    mistakes = []
    for model, report in trainings.items():
        for key, value in _shared(report):
            name = ".".join(key[:2])
            of, expected = (
                ("the prepared dataset", fingerprint) if name == DATA else first.setdefault(key, (model, value))
            )
            if value != expected:
                is_short = len(f"{value}{expected}") <= MOST_SHOWN
                told = f"is {value}, but {expected} of {of}" if is_short else f"is not as that of {of}"
                again = f"dvc repro -f train@{report['settings']['dataset']}-{model}"
                mistakes.append(
                    f"{results / model / 'training.json'}: {name} {told}, and no deviation says so; run {again}"
                )
    raise_listed(mistakes)


def check_any_trained(failures: Mapping[str, str], *, results: Path) -> None:
    """Raise InputError if every model failed. failures: by model, why, such as `diverged in epoch 3`; empty if not."""
    if all(failures.values()):
        why = ", ".join(f"{model} {failure}" for model, failure in failures.items())
        lower = "; lower train.lr" if all("diverged" in failure for failure in failures.values()) else ""
        raise InputError(f"{results}: no model has scores, so there is nothing to compare: {why}{lower}")


def _shared(report: dict[str, Any]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """(key, value) of all that a training is to share with the others. Equal keys must have equal values."""
    settings, deviations, search = report["settings"], report["deviations"], report["search"]
    yield (DATA,), settings[DATA]
    for name, value in settings["samples"].items():
        yield ("samples", name), value
    if not {"backbone", "backbone_weights"} & deviations.keys():
        yield ("backbone",), settings["backbone"]
    found = search["best"] if search else {}
    for name, value in settings["train"].items():
        if name == "precision":  # follows from the machine, and another one may add a training to a clone
            yield ("train", name, *report["machines"]), value
        elif name not in deviations and name not in found:
            yield ("train", name), value
    if search and "search" not in deviations:
        yield ("search", "epochs"), search["epochs"]
        yield ("search", "candidates"), [trial["values"] for trial in search["trials"]]
