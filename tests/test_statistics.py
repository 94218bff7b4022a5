"""Paired differences, against a resampling done the slow way."""

import numpy as np
import pytest

from segbench import metrics
from segbench.statistics import paired_difference


def confusions(rng: np.random.Generator, *, accuracy: float, num_images: int = 40) -> metrics.Counts:
    """(num_images, 3, 3): about that share of each class's 100 pixels is right."""
    wrong = (1 - accuracy) / 2
    shares = np.full((3, 3), wrong) + np.eye(3) * (accuracy - wrong)
    return np.array([[rng.multinomial(100, row) for row in shares] for _ in range(num_images)])


def test_the_interval_is_that_of_resampled_images() -> None:
    rng = np.random.default_rng(0)
    first, second = confusions(rng, accuracy=0.9), confusions(rng, accuracy=0.85)
    found = paired_difference(first, second, classes=[0, 2], seed=0)

    def mean_iou(chosen: metrics.Counts) -> float:
        return float(metrics.scores(chosen.sum(axis=0)).class_iou[[0, 2]].mean())

    assert found.first == pytest.approx(mean_iou(first))
    assert found.second == pytest.approx(mean_iou(second))
    slowly = [mean_iou(first[draw]) - mean_iou(second[draw]) for draw in rng.integers(40, size=(1000, 40))]
    low, high = np.percentile(slowly, [2.5, 97.5])
    assert found.low == pytest.approx(low, abs=0.1 * (high - low))
    assert found.high == pytest.approx(high, abs=0.1 * (high - low))
    assert 0 < found.low < found.first - found.second < found.high


def test_equal_models_differ_by_nothing() -> None:
    same = confusions(np.random.default_rng(0), accuracy=0.8)
    found = paired_difference(same, same, classes=[0, 1, 2], seed=0)
    assert (found.low, found.high) == (0, 0)


def test_the_same_images_go_to_both() -> None:
    """Images of very different difficulty, on each of which the first is better: no doubt remains."""
    rng = np.random.default_rng(0)
    first = np.concatenate([confusions(rng, accuracy=a, num_images=5) for a in np.linspace(0.4, 0.98, 8)])
    second = np.concatenate([confusions(rng, accuracy=a - 0.03, num_images=5) for a in np.linspace(0.4, 0.98, 8)])
    paired = paired_difference(first, second, classes=[0, 1, 2], seed=0)
    shuffled = paired_difference(first, rng.permutation(second), classes=[0, 1, 2], seed=0)
    assert paired.low > 0 > shuffled.low


def test_a_class_without_pixels_is_left_out() -> None:
    rng = np.random.default_rng(0)
    first, second = confusions(rng, accuracy=0.9), confusions(rng, accuracy=0.8)
    absent = [np.pad(counts, ((0, 0), (0, 1), (0, 1))) for counts in (first, second)]
    with_absent = paired_difference(*absent, classes=[0, 1, 2, 3], seed=0)
    assert with_absent == paired_difference(first, second, classes=[0, 1, 2], seed=0)
