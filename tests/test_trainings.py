"""What trainings leave behind."""

from typing import Any

import pytest

from segbench.trainings import validation_mean_iou


def record(*curve: float | None) -> dict[str, Any]:
    return {"epochs": [{"epoch": epoch, "val_mean_iou": value} for epoch, value in enumerate(curve, start=1)]}


@pytest.mark.parametrize(("checkpoint", "expected"), [("last", (0.5 + 0.3) / 2), ("best", (0.5 + 0.7) / 2)])
def test_the_validation_score_is_of_the_weights_that_are_kept(checkpoint: str, expected: float) -> None:
    records = [record(None, 0.4, None, 0.5), record(None, 0.7, 0.3)]
    assert validation_mean_iou(records, checkpoint=checkpoint) == pytest.approx(expected)


def test_without_epochs_there_is_no_validation_score() -> None:
    assert validation_mean_iou([{"epochs": []}], checkpoint="last") is None
