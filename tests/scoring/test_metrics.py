"""Metrics against hand-worked cases, torchmetrics and mmsegmentation's definitions."""

import math
import re

import numpy as np
import pytest
import torch
from torchmetrics.classification import (
    MulticlassAccuracy,
    MulticlassF1Score,
    MulticlassJaccardIndex,
    MulticlassPrecision,
)

from segbench.errors import InputError
from segbench.labels import IGNORE_INDEX, LabelMap
from segbench.scoring.metrics import average_scores, compute_scores, confusion_matrix


def label_map(*rows: list[int]) -> LabelMap:
    return np.array(rows, np.uint8)


def test_rows_are_true_and_columns_predicted_classes() -> None:
    confusion = confusion_matrix(truth=label_map([0, 0], [1, 1]), predicted=label_map([0, 1], [1, 1]), num_classes=2)
    assert confusion.tolist() == [[1, 1], [0, 2]]
    assert confusion.dtype == np.int64


def test_a_two_by_two_case_by_hand() -> None:
    result = compute_scores(np.array([[1, 1], [0, 2]]))
    np.testing.assert_allclose(result.class_accuracy, [1 / 2, 2 / 2])
    np.testing.assert_allclose(result.class_precision, [1 / 1, 2 / 3])
    np.testing.assert_allclose(result.class_iou, [1 / 2, 2 / 3])
    np.testing.assert_allclose(result.class_dice, [2 / 3, 4 / 5])
    assert result.pixel_accuracy == pytest.approx(3 / 4)
    assert result.mean_accuracy == pytest.approx(3 / 4)
    assert result.mean_iou == pytest.approx(7 / 12)
    assert result.mean_dice == pytest.approx(11 / 15)
    assert result.num_classes_averaged == 2


def test_an_absent_class_is_left_out_of_the_means() -> None:
    result = compute_scores(np.array([[3, 0, 0], [1, 4, 0], [0, 0, 0]]))
    np.testing.assert_allclose(result.class_iou, [3 / 4, 4 / 5, np.nan])
    assert result.mean_iou == pytest.approx((3 / 4 + 4 / 5) / 2)
    assert result.num_classes_averaged == 2


def test_a_class_that_is_only_predicted_scores_zero_iou_but_has_no_accuracy() -> None:
    result = compute_scores(np.array([[3, 1], [0, 0]]))
    np.testing.assert_allclose(result.class_iou, [3 / 4, 0])
    np.testing.assert_allclose(result.class_dice, [6 / 7, 0])
    np.testing.assert_allclose(result.class_accuracy, [3 / 4, np.nan])
    np.testing.assert_allclose(result.class_precision, [3 / 3, 0])
    assert result.mean_iou == pytest.approx(3 / 8)
    assert result.mean_accuracy == pytest.approx(3 / 4)


def test_a_class_that_is_never_predicted_scores_zero_but_has_no_precision() -> None:
    result = compute_scores(np.array([[3, 0], [1, 0]]))
    np.testing.assert_allclose(result.class_precision, [3 / 4, np.nan])
    np.testing.assert_allclose(result.class_accuracy, [3 / 3, 0])
    np.testing.assert_allclose(result.class_iou, [3 / 4, 0])
    np.testing.assert_allclose(result.class_dice, [6 / 7, 0])
    assert result.num_classes_averaged == 2


def test_a_class_that_is_neither_true_nor_predicted_has_no_score() -> None:
    result = compute_scores(np.array([[3, 0, 1], [0, 0, 0], [2, 0, 4]]))
    for values in (result.class_accuracy, result.class_precision, result.class_iou, result.class_dice):
        assert np.isnan(values).tolist() == [False, True, False]
    np.testing.assert_allclose(result.class_precision, [3 / 5, np.nan, 4 / 5])


def test_without_a_counted_pixel_every_score_is_nan() -> None:
    ignored = np.full((2, 2), IGNORE_INDEX, np.uint8)
    confusion = confusion_matrix(truth=ignored, predicted=np.zeros_like(ignored), num_classes=2)
    result = compute_scores(confusion)
    assert confusion.sum() == 0
    assert all(map(math.isnan, (result.pixel_accuracy, result.mean_accuracy, result.mean_iou, result.mean_dice)))
    assert result.num_classes_averaged == 0


def test_ignored_pixels_are_dropped_before_anything_is_checked() -> None:
    truth, predicted = label_map([0, IGNORE_INDEX], [1, IGNORE_INDEX]), label_map([0, 99], [1, 0])
    assert confusion_matrix(truth=truth, predicted=predicted, num_classes=2).tolist() == [[1, 0], [0, 1]]


def test_another_ignore_index_can_be_given() -> None:
    confusion = confusion_matrix(truth=label_map([0, 1]), predicted=label_map([0, 0]), num_classes=2, ignore_index=1)
    assert confusion.tolist() == [[1, 0], [0, 0]]


@pytest.mark.parametrize(
    ("truth", "predicted", "message"),
    [
        ([0, 2], [0, 0], "true label 2 is outside 0..1"),
        ([0, 1], [0, 2], "predicted label 2 is outside 0..1"),
        ([0, 1], [0, IGNORE_INDEX], "predicted label 255 is outside 0..1"),
        ([0, 1], [0, -1], "predicted label -1 is outside 0..1"),
    ],
)
def test_a_label_outside_the_classes_is_an_error(truth: list[int], predicted: list[int], message: str) -> None:
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        confusion_matrix(truth=np.array([truth]), predicted=np.array([predicted]), num_classes=2)


def test_maps_of_different_shapes_are_an_error() -> None:
    message = "predicted label map is (2, 1); it must have the truth's shape (1, 2)"
    with pytest.raises(InputError, match=re.escape(message)):
        confusion_matrix(truth=label_map([0, 1]), predicted=label_map([0], [1]), num_classes=2)


def test_scores_agree_with_torchmetrics() -> None:
    num_classes = 7
    rng = np.random.default_rng(0)
    truth = rng.integers(0, num_classes, (90, 70), np.uint8)
    predicted = np.where(rng.random(truth.shape) < 0.6, truth, rng.integers(0, num_classes, truth.shape, np.uint8))
    truth[rng.random(truth.shape) < 0.1] = IGNORE_INDEX
    result = compute_scores(confusion_matrix(truth=truth, predicted=predicted, num_classes=num_classes))

    def theirs(metric: type, average: str) -> list[float]:
        measure = metric(num_classes=num_classes, average=average, ignore_index=IGNORE_INDEX)
        values: list[float] = measure(torch.from_numpy(predicted).long(), torch.from_numpy(truth).long()).tolist()
        return values

    np.testing.assert_allclose(result.class_iou, theirs(MulticlassJaccardIndex, "none"), rtol=1e-5)
    np.testing.assert_allclose(result.class_dice, theirs(MulticlassF1Score, "none"), rtol=1e-5)
    np.testing.assert_allclose(result.class_accuracy, theirs(MulticlassAccuracy, "none"), rtol=1e-5)
    np.testing.assert_allclose(result.class_precision, theirs(MulticlassPrecision, "none"), rtol=1e-5)
    np.testing.assert_allclose(result.mean_iou, theirs(MulticlassJaccardIndex, "macro"), rtol=1e-5)
    np.testing.assert_allclose(result.mean_dice, theirs(MulticlassF1Score, "macro"), rtol=1e-5)
    np.testing.assert_allclose(result.mean_accuracy, theirs(MulticlassAccuracy, "macro"), rtol=1e-5)
    np.testing.assert_allclose(result.pixel_accuracy, theirs(MulticlassAccuracy, "micro"), rtol=1e-5)


def test_scores_are_those_of_mmsegmentation() -> None:
    """As its IoUMetric (1.x) defines them: areas are summed over images, then divided; means leave out NaN."""
    num_classes = 6
    rng = np.random.default_rng(0)
    intersect, union, pred_label, label = np.zeros((4, num_classes))
    confusion = np.zeros((num_classes, num_classes), np.int64)
    for _ in range(5):
        # Class 4 is true but never predicted, class 5 is neither.
        truth, predicted = rng.integers(0, 5, (20, 30), np.uint8), rng.integers(0, 4, (20, 30), np.uint8)
        truth[rng.random(truth.shape) < 0.2] = IGNORE_INDEX
        confusion += confusion_matrix(truth=truth, predicted=predicted, num_classes=num_classes)
        for c in range(num_classes):
            is_true, is_predicted = truth == c, (predicted == c) & (truth != IGNORE_INDEX)
            intersect[c] += (is_true & is_predicted).sum()
            union[c] += (is_true | is_predicted).sum()
            pred_label[c] += is_predicted.sum()
            label[c] += is_true.sum()
    result = compute_scores(confusion)
    with np.errstate(invalid="ignore"):
        accuracy, iou = intersect / label, intersect / union
        dice, precision = 2 * intersect / (pred_label + label), intersect / pred_label
    np.testing.assert_allclose(result.class_accuracy, accuracy)
    np.testing.assert_allclose(result.class_precision, precision)
    np.testing.assert_allclose(result.class_iou, iou)
    np.testing.assert_allclose(result.class_dice, dice)
    assert result.pixel_accuracy == pytest.approx(intersect.sum() / label.sum())
    assert result.mean_accuracy == pytest.approx(np.nanmean(accuracy))
    assert result.mean_iou == pytest.approx(np.nanmean(iou))
    assert result.mean_dice == pytest.approx(np.nanmean(dice))


def test_a_splits_score_is_not_the_mean_of_its_images_scores() -> None:
    """The first image shows class 1 in one pixel and misses it; the second shows it in four and finds them all."""
    images = [
        (label_map([0, 0], [0, 1]), label_map([0, 0], [0, 0])),
        (label_map([1, 1], [1, 1]), label_map([1, 1], [1, 1])),
    ]
    matrices = [confusion_matrix(truth=truth, predicted=predicted, num_classes=2) for truth, predicted in images]
    of_images = [compute_scores(matrix).mean_iou for matrix in matrices]
    of_split = compute_scores(sum(matrices, np.zeros((2, 2), np.int64))).mean_iou
    assert of_images == pytest.approx([(3 / 4 + 0) / 2, 1])
    assert of_split == pytest.approx((3 / 4 + 4 / 5) / 2)


def test_a_report_names_classes_and_has_null_for_nan() -> None:
    report = compute_scores(np.array([[3, 1], [0, 0]])).as_report(["road", "sky"])
    assert report == {
        "pixel_accuracy": 0.75,
        "mean_accuracy": 0.75,
        "mean_iou": 0.375,
        "mean_dice": pytest.approx(3 / 7),
        "num_classes_averaged": 2,
        "class_accuracy": {"road": 0.75, "sky": None},
        "class_precision": {"road": 1.0, "sky": 0.0},
        "class_iou": {"road": 0.75, "sky": 0.0},
        "class_dice": {"road": pytest.approx(6 / 7), "sky": 0.0},
    }


def test_the_mean_over_seeds_leaves_out_seeds_without_the_score() -> None:
    first = compute_scores(np.array([[3, 1, 0], [0, 4, 0], [0, 0, 0]]))
    second = compute_scores(np.array([[4, 0, 0], [0, 3, 1], [0, 0, 0]]))
    mean = average_scores([first, second])
    assert mean.mean_iou == pytest.approx((first.mean_iou + second.mean_iou) / 2)
    np.testing.assert_allclose(mean.class_iou, [(3 / 4 + 1) / 2, (4 / 5 + 3 / 4) / 2, 0])  # the last from one seed
    assert np.isnan(mean.class_accuracy[2])
    assert mean.num_classes_averaged == 2
    assert average_scores([first]).as_report(["a", "b", "c"]) == first.as_report(["a", "b", "c"])
