"""A metric over chosen classes, as a mean of fractions. Kept apart from `metrics`, which training depends on."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from segbench.scoring.metrics import Fractions, ratio

Metric = Literal["aAcc", "mAcc", "mIoU", "mDice"]


@dataclass(frozen=True)
class Measure:
    """A metric over some classes, or over all. `Measure("mIoU", (3,))` is the IoU of class 3.

    Methods take pixels by class of L runs, as (..., 1 + 2L, C): true, then correct of each run, then predicted of each.
    """

    metric: Metric = "mIoU"
    classes: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        if self.classes == ():
            raise ValueError("a measure needs at least one class")

    def scores(self, class_pixels: Fractions) -> Fractions:
        """(..., 1 + 2L, C) -> (..., L): the mean over classes with a denominator, NaN without any."""
        numerator, denominator = self.fractions(class_pixels)
        fractions = ratio(numerator, denominator, empty=0)
        return ratio(fractions.sum(axis=-1), (denominator > 0).sum(axis=-1), empty=np.nan)

    def fractions(self, class_pixels: Fractions) -> tuple[Fractions, Fractions]:
        """(..., 1 + 2L, C) -> numerators and denominators (..., L, K), whose mean over K is the score.

        K is the number of chosen classes, and 1 for aAcc, which is one fraction of all their pixels.
        """
        chosen = self.chosen(class_pixels)
        num_runs = chosen.shape[-2] // 2
        true, correct, predicted = np.split(chosen, [1, 1 + num_runs], axis=-2)
        match self.metric:
            case "aAcc":
                correct, true = correct.sum(axis=-1, keepdims=True), true.sum(axis=-1, keepdims=True)
                return correct, np.broadcast_to(true, correct.shape)
            case "mAcc":
                return correct, np.broadcast_to(true, correct.shape)
            case "mIoU":
                return correct, true + predicted - correct
            case "mDice":
                return 2 * correct, true + predicted

    def chosen(self, of_classes: Fractions) -> Fractions:
        """The chosen classes of the last axis."""
        return of_classes if self.classes is None else of_classes[..., list(self.classes)]
