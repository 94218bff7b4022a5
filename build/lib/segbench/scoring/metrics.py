"""Accuracy, precision, IoU and Dice from one confusion matrix over a whole split, never as a mean over images."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segbench.errors import InputError
from segbench.labels import IGNORE_INDEX, LabelMap

Counts = NDArray[np.int64]
Fractions = NDArray[np.float64]
SHORT_NAMES = {"aAcc": "pixel_accuracy", "mAcc": "mean_accuracy", "mIoU": "mean_iou", "mDice": "mean_dice"}
"""The names of `Scores` by the field's usual abbreviations."""


def confusion_matrix(
    *, truth: LabelMap, predicted: LabelMap, num_classes: int, ignore_index: int = IGNORE_INDEX
) -> Counts:
    """Count pixels by true class (rows) and predicted class (columns).

    truth, predicted: (H, W) integer class indices; pixels where truth is ignore_index are dropped.
    Returns (num_classes, num_classes) int64. Raises InputError if the shapes differ or a counted index is
    outside 0..num_classes-1.
    """
    counted = truth != ignore_index
    pairs = class_pairs(truth=truth, predicted=predicted, counted=counted, num_classes=num_classes)
    return np.bincount(pairs, minlength=num_classes**2).reshape(num_classes, num_classes)


def class_pairs(*, truth: LabelMap, predicted: LabelMap, counted: NDArray[np.bool_], num_classes: int) -> Counts:
    """The cell of each counted pixel in the flattened confusion matrix: num_classes * true + predicted class.

    truth, predicted, counted: (H, W). Returns (num_counted,) int64 in row order. Raises InputError as
    `confusion_matrix` does.
    """
    if truth.shape != predicted.shape:
        raise InputError(f"predicted label map is {predicted.shape}; it must have the truth's shape {truth.shape}")
    true_classes, predicted_classes = truth[counted], predicted[counted]
    for kind, classes in (("true", true_classes), ("predicted", predicted_classes)):
        if classes.size and not (classes.min() >= 0 and classes.max() < num_classes):
            wrong = classes[(classes < 0) | (classes >= num_classes)][0]
            raise InputError(f"{kind} label {wrong} is outside 0..{num_classes - 1}")
    return num_classes * true_classes.astype(np.int64) + predicted_classes


@dataclass(frozen=True, eq=False)
class ClassPixels:
    """How many pixels have each class in the truth, in a prediction, and in both: all that the metrics are made of.

    true, predicted, correct: (..., C) whole numbers. Leading axes, such as images and training seeds, need only fit by
    broadcasting: the truth is the same for every seed.
    """

    true: NDArray[np.integer[Any]]
    predicted: NDArray[np.integer[Any]]
    correct: NDArray[np.integer[Any]]

    @classmethod
    def of(cls, confusion: Counts) -> "ClassPixels":
        """From confusion matrices (..., C, C)."""
        return cls(confusion.sum(axis=-1), confusion.sum(axis=-2), np.diagonal(confusion, axis1=-2, axis2=-1))

    def select(self, images: Any) -> "ClassPixels":
        """Some of the images, whose axis is the last but one, by an index, a slice or a mask."""
        return ClassPixels(self.true[..., images, :], self.predicted[..., images, :], self.correct[..., images, :])

    def total(self) -> "ClassPixels":
        """Summed over images, whose axis is the last but one."""
        return ClassPixels(
            *(pixels.sum(axis=-2, dtype=np.int64) for pixels in (self.true, self.predicted, self.correct))
        )

    def seed(self, index: int) -> "ClassPixels":
        """Those of one training seed, whose axis is the first of the predicted and of the correct ones."""
        return ClassPixels(self.true, self.predicted[index], self.correct[index])

    def scores(self) -> "Scores":
        """All metrics, where there is no axis but that of the classes.

        Per class, accuracy is TP/GT, precision TP/Pred, IoU TP/(GT + Pred - TP) and Dice 2TP/(GT + Pred).
        """
        true, predicted, correct = (pixels.astype(np.float64) for pixels in (self.true, self.predicted, self.correct))
        class_accuracy = ratio(correct, true)
        class_precision = ratio(correct, predicted)
        class_iou = ratio(correct, true + predicted - correct)
        class_dice = ratio(2 * correct, true + predicted)
        return Scores(
            class_accuracy=class_accuracy,
            class_precision=class_precision,
            class_iou=class_iou,
            class_dice=class_dice,
            pixel_accuracy=float(ratio(correct.sum(), true.sum())),
            mean_accuracy=_mean(class_accuracy),
            mean_iou=_mean(class_iou),
            mean_dice=_mean(class_dice),
            num_classes_averaged=int(np.isfinite(class_iou).sum()),
        )


@dataclass(frozen=True)
class Scores:
    """All metrics of a split, as fractions; NaN where a denominator is zero. Class arrays are (num_classes,).

    The means leave out classes whose denominator is zero; `num_classes_averaged` is how many are left for IoU and Dice.
    """

    class_accuracy: Fractions
    class_precision: Fractions
    class_iou: Fractions
    class_dice: Fractions
    pixel_accuracy: float
    mean_accuracy: float
    mean_iou: float
    mean_dice: float
    num_classes_averaged: int

    def as_report(self, names: Sequence[str]) -> dict[str, Any]:
        """For JSON: pixel accuracy and means, then each class's values by its name; None for NaN."""
        report: dict[str, Any] = {name: _or_none(getattr(self, name)) for name in SHORT_NAMES.values()}
        report["num_classes_averaged"] = self.num_classes_averaged
        for name in ("class_accuracy", "class_precision", "class_iou", "class_dice"):
            report[name] = dict(zip(names, map(_or_none, getattr(self, name)), strict=True))
        return report


def compute_scores(confusion: Counts) -> Scores:
    """Scores from a (num_classes, num_classes) confusion matrix."""
    return ClassPixels.of(confusion).scores()


def average_scores(of_seeds: Sequence[Scores]) -> Scores:
    """The mean of each metric over trainings with several seeds, of those that have a value."""

    def mean(metric: Callable[[Scores], Fractions | float]) -> Fractions:
        values = np.array([metric(scores) for scores in of_seeds])
        known = np.isfinite(values)
        return ratio(np.where(known, values, 0).sum(axis=0), known.sum(axis=0))

    return Scores(
        class_accuracy=mean(lambda scores: scores.class_accuracy),
        class_precision=mean(lambda scores: scores.class_precision),
        class_iou=mean(lambda scores: scores.class_iou),
        class_dice=mean(lambda scores: scores.class_dice),
        pixel_accuracy=float(mean(lambda scores: scores.pixel_accuracy)),
        mean_accuracy=float(mean(lambda scores: scores.mean_accuracy)),
        mean_iou=float(mean(lambda scores: scores.mean_iou)),
        mean_dice=float(mean(lambda scores: scores.mean_dice)),
        num_classes_averaged=min(scores.num_classes_averaged for scores in of_seeds),
    )


def ratio(numerator: NDArray[Any], denominator: NDArray[Any], *, empty: float = np.nan) -> Fractions:
    """The fraction in float64, `empty` where the denominator is not positive. Shapes are broadcast."""
    shape = np.broadcast_shapes(np.shape(numerator), np.shape(denominator))
    return np.divide(numerator, denominator, out=np.full(shape, empty, np.float64), where=np.asarray(denominator) > 0)


def _or_none(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _mean(values: Fractions) -> float:
    return float(np.nanmean(values)) if np.isfinite(values).any() else float("nan")
