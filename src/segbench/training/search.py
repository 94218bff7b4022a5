"""An equal budget: every network tries the same changes of the schedule, and is trained with what was best for it.

One learning rate for all favours the networks that it suits. With as many trials over the same candidates for each, a
network's score is that of its architecture and not of the common values.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from segbench.training.training import Training, has_diverged, validation_mean_iou


def trials_of(training: Training) -> list[Training]:
    """A short training for each candidate, with the training's seed.

    None if there is nothing to search for, or params.yaml says what an earlier search found.
    """
    search = training.schedule.search
    if not training.has_schedule or found_before(training):
        return []
    return [replace(training, found={**candidate, "epochs": search.epochs}) for candidate in search.candidates]


def found_before(training: Training) -> dict[str, Any] | None:
    """What params.yaml says an earlier search found, in the form of `outcome`, without the trials' scores and times."""
    best = training.parameters.model(training.model).found.get(training.dataset)
    search = training.schedule.search
    if best is None or not search.candidates:
        return None
    trials = [{"values": values, "val_mean_iou": None, "training_seconds": None} for values in search.candidates]
    return {"epochs": search.epochs, "trials": trials, "best": best}


def outcome(trials: Sequence[Training]) -> dict[str, Any] | None:
    """What the finished trials found, for reports; None without trials.

    best: the candidate with the highest mean IoU on the validation images after its last epoch, the first of equal
    ones; empty if no trial has a score, as one that diverged has none.
    """
    if not trials:
        return None
    search = trials[0].schedule.search
    records = [trial.record for trial in trials]
    scores = [None if has_diverged(record) else validation_mean_iou([record], checkpoint="last") for record in records]
    known = [(score, -place) for place, score in enumerate(scores) if score is not None]
    return {
        "epochs": search.epochs,
        "trials": [
            {"values": candidate, "val_mean_iou": score, "training_seconds": record["training_seconds"]}
            for candidate, score, record in zip(search.candidates, scores, records, strict=True)
        ],
        "best": search.candidates[-max(known)[1]] if known else {},
    }
