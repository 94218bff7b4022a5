"""What reports say of trainings that diverged or failed on a cluster, so that they have no weights and no scores."""

from typing import Any


def failure_of(training: dict[str, Any]) -> str:
    """Why a model has no scores, such as `diverged in epoch 3`; empty if a training ended well.

    training: the report of the stage `train`.
    """
    return "" if training["trainings"] else _described(training)


def deviation_of(training: dict[str, Any]) -> str:
    """Of which trainings the scores are, such as `2 of 3 trainings; seed 1 diverged in epoch 3`; empty if of all."""
    ended, failed = len(training["trainings"]), len(training["failed"])
    return f"{ended} of {ended + failed} trainings; {_described(training)}" if ended and failed else ""


def _described(training: dict[str, Any]) -> str:
    """In which epoch each failed training diverged, with its seed unless it is the only training."""
    failed = training["failed"]
    if "why" in failed[0]:
        return f"failed: {failed[0]['why']}"
    if len(failed) == 1 and not training["trainings"]:
        return f"diverged in epoch {failed[0]['epoch']}"
    return ", ".join(f"seed {each['seed']} diverged in epoch {each['epoch']}" for each in failed)
