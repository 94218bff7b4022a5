"""Distances and bands along boundaries: by hand, and against a slow search over all pixels."""

import re
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from segbench.errors import InputError
from segbench.labels import IGNORE_INDEX, LabelMap
from segbench.scoring.boundaries import boundary_distances, trimap_confusions
from segbench.scoring.metrics import Counts, confusion_matrix

NONE = IGNORE_INDEX


def label_map(*rows: list[int]) -> LabelMap:
    return np.array(rows, np.uint8)


def counted(truth: LabelMap, predicted: LabelMap, *, num_classes: int, widths_px: Sequence[float]) -> Counts:
    return trimap_confusions(
        boundary_distances(truth), truth=truth, predicted=predicted, num_classes=num_classes, widths_px=widths_px
    )


def test_distances_grow_in_rows_from_a_straight_boundary() -> None:
    truth = np.repeat(label_map([0, 0, 0, 1, 1]), 4, axis=0)
    assert boundary_distances(truth).tolist() == [[2.5, 1.5, 0.5, 0.5, 1.5]] * 4
    assert boundary_distances(truth.T).tolist() == boundary_distances(truth).T.tolist()


def test_distances_are_euclidean() -> None:
    """One pixel of class 1: it and its four neighbours lie on the boundary."""
    truth = np.zeros((7, 7), np.uint8)
    truth[3, 3] = 1
    distances = boundary_distances(truth)
    assert [distances[3, 3], distances[3, 4], distances[2, 3]] == [0.5, 0.5, 0.5]
    assert distances[2, 2] == 1.5  # a corner shares no side with it
    assert distances[1, 1] == pytest.approx(0.5 + np.hypot(1, 2))
    assert distances[0, 6] == pytest.approx(0.5 + np.hypot(2, 3))


def test_a_region_without_a_class_is_a_boundary_where_it_touches_two_classes() -> None:
    between = boundary_distances(label_map([0, 0, 0, NONE, NONE, 1, 1]))[0]
    assert between[[0, 1, 2, 5, 6]].tolist() == [2.5, 1.5, 0.5, 0.5, 1.5]
    assert np.isinf(boundary_distances(label_map([0, 0, NONE, 0], [0, NONE, NONE, 0]))).all(), "a hole in one class"
    beside = boundary_distances(label_map([NONE, 0, 0, 1]))[0]
    assert beside[[1, 2, 3]].tolist() == [1.5, 0.5, 0.5], "the region touches one class, the boundary is elsewhere"
    through_a_corner = boundary_distances(label_map([0, NONE, 0], [0, 0, NONE], [0, 0, 1]))
    assert through_a_corner[0, 0] == 0.5, "regions that meet at a corner are one"


def test_the_contour_of_an_object_that_has_no_class_is_scored_on_both_sides() -> None:
    """As Pascal VOC draws its objects: a disc whose contour, 5 px wide, has no class."""
    rows, columns = np.mgrid[:81, :81]
    radius_px = np.hypot(rows - 40, columns - 40)
    truth = np.where(radius_px <= 20, 1, 0).astype(np.uint8)
    contour = np.abs(radius_px - 20) <= 2.5
    truth[contour] = NONE
    found = counted(truth, np.where(radius_px <= 20, 1, 0).astype(np.uint8), num_classes=2, widths_px=[1, 2, 4])
    outside, inside = found[:, 0, 0], found[:, 1, 1]
    assert found.sum(axis=(1, 2)).tolist() == (outside + inside).tolist(), "all are right"
    for width_px, inner, outer in zip([1, 2, 4], inside, outside, strict=True):
        assert inner == pytest.approx(np.pi * (17.5**2 - (17.5 - width_px) ** 2), rel=0.15)
        assert outer == pytest.approx(np.pi * ((22.5 + width_px) ** 2 - 22.5**2), rel=0.15)


def test_bands_by_hand() -> None:
    truth = label_map([0, 0, 0, 1, 1, 1], [0, 0, 0, 1, 1, NONE])
    predicted = label_map([1, 0, 0, 0, 1, 0], [0, 1, 0, 1, 0, 0])
    narrow, middle, wide = counted(truth, predicted, num_classes=2, widths_px=[1, 2, 3]).tolist()
    assert narrow == [[2, 0], [1, 1]]
    assert middle == [[3, 1], [2, 2]]
    assert wide == [[4, 2], [3, 2]]


def test_the_width_is_inclusive() -> None:
    truth = label_map([0, 0, 0, 1])
    counts = counted(truth, truth, num_classes=2, widths_px=[0.4, 0.5, 1.49, 1.5])
    assert counts.sum(axis=(1, 2)).tolist() == [0, 2, 2, 3]


@pytest.mark.parametrize("value", [0, NONE])
def test_without_a_boundary_nothing_is_counted(value: int) -> None:
    truth = np.full((4, 5), value, np.uint8)
    counts = counted(truth, np.zeros_like(truth), num_classes=2, widths_px=[1, float("inf")])
    assert counts.shape == (2, 2, 2) and not counts.any()


@given(st.data())
def test_wider_bands_hold_narrower_ones_and_the_widest_is_the_whole_confusion_matrix(data: st.DataObject) -> None:
    height, width = data.draw(st.integers(1, 12)), data.draw(st.integers(1, 12))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    truth = rng.choice(np.array([0, 1, 2, NONE], np.uint8), (height, width))
    truth[:, : data.draw(st.integers(0, width))] = 0
    predicted = rng.integers(0, 3, truth.shape, np.uint8)
    widths_px = sorted(data.draw(st.sets(st.floats(0.125, 20, width=32), min_size=1)))
    counts = counted(truth, predicted, num_classes=3, widths_px=[*widths_px, np.inf])
    assert (np.diff(counts, axis=0) >= 0).all()
    distances = slow_distances(truth)
    for width_px, band in zip(widths_px, counts, strict=False):
        outside = np.where(distances <= np.float32(width_px), truth, NONE)
        assert band.tolist() == confusion_matrix(truth=outside, predicted=predicted, num_classes=3).tolist()
    if np.isfinite(distances).any():
        assert counts[-1].tolist() == confusion_matrix(truth=truth, predicted=predicted, num_classes=3).tolist()


def slow_distances(truth: LabelMap) -> np.ndarray:
    """As `boundary_distances`, from each pixel to every pixel on a boundary."""
    height, width = truth.shape
    regions, num_regions = ndimage.label(truth == NONE, np.ones((3, 3)))
    separating = {
        region for region in range(1, num_regions + 1)
        if len(set(truth[ndimage.binary_dilation(regions == region)].tolist()) - {NONE}) > 1
    }  # fmt: skip
    on_boundary = [
        (y, x)
        for y in range(height)
        for x in range(width)
        for v, u in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1))
        if 0 <= v < height
        and 0 <= u < width
        and truth[y, x] != NONE
        and (regions[v, u] in separating if truth[v, u] == NONE else truth[y, x] != truth[v, u])
    ]
    return np.array(
        [[min((np.hypot(y - v, x - u) for v, u in on_boundary), default=np.inf) + 0.5 for x in range(width)]
         for y in range(height)], np.float32,
    )  # fmt: skip


@pytest.mark.parametrize("widths_px", [[], [2, 1], [1, 1], [0, 1], [float("nan")]])
def test_widths_that_do_not_increase_are_refused(widths_px: list[float]) -> None:
    truth = label_map([0, 1])
    with pytest.raises(ValueError, match=re.escape(f"widths_px is {widths_px}; it must be positive and increase")):
        counted(truth, truth, num_classes=2, widths_px=widths_px)


def test_wrong_label_maps_are_refused_as_for_a_confusion_matrix() -> None:
    truth = label_map([0, 1])
    with pytest.raises(InputError, match="predicted label 2 is outside 0..1"):
        counted(truth, label_map([0, 2]), num_classes=2, widths_px=[1])
    with pytest.raises(InputError, match="predicted label map is"):
        counted(truth, label_map([0], [1]), num_classes=2, widths_px=[1])
