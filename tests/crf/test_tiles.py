"""The CRF by tiles: what it does to the whole image, in bounded memory."""

import weakref
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from segbench.crf.energy import CRFParameters
from segbench.crf.inference import refined_label_map
from segbench.crf.memory import bytes_per_image
from segbench.crf.tiles import (
    MARGIN,
    TILE_BYTES,
    affordable_side_px,
    refined_by_tiles,
    spans,
    tuning_window,
    uniform_strips,
)
from segbench.datasets import scenes
from segbench.images import RGBImage
from segbench.labels import IGNORE_INDEX, LabelMap
from segbench.prediction.predictor import Probabilities

PARAMETERS = CRFParameters(
    appearance_weight=5, appearance_sigma_xy=0.03, appearance_sigma_rgb=10, smoothness_weight=1,
    smoothness_sigma_xy=0.004, steps=5,
)  # fmt: skip


def scene() -> tuple[RGBImage, LabelMap, Probabilities]:
    """A drawn scene, its labels, and noisy probabilities that are right in three quarters of the blocks of 8 px."""
    source = scenes.open_source(seed=0, width_px=384, height_px=320, num_train=1, num_val=1, num_test=1)
    image, truth = source.examples[0].load()
    truth = np.where(truth == IGNORE_INDEX, 0, truth)
    rng = np.random.default_rng(0)
    num_classes = len(scenes.CLASSES)
    wrong = rng.integers(num_classes, size=(40, 48)).repeat(8, axis=0).repeat(8, axis=1)
    is_right = (rng.random((40, 48)) < 0.75).repeat(8, axis=0).repeat(8, axis=1)
    said = np.where(is_right, truth, wrong)
    probabilities = np.full((num_classes, *truth.shape), 0.4 / (num_classes - 1), np.float32)
    np.put_along_axis(probabilities, said[None], np.float32(0.6), axis=0)
    return image, truth.astype(np.uint8), probabilities


def in_strips(probabilities: Probabilities, rows: int = 32) -> Iterator[tuple[int, Probabilities]]:
    for first in range(0, probabilities.shape[1], rows):
        yield first, probabilities[:, first : first + rows]


@pytest.mark.parametrize(("side_px", "tile_px"), [(1, 8), (100, 100), (101, 100), (1000, 100), (10_000, 888), (50, 7)])
def test_each_pixel_is_kept_once_and_with_context_on_both_sides(side_px: int, tile_px: int) -> None:
    found = spans(side_px, tile_px=tile_px)
    assert [index for span in found for index in range(span.kept_first, span.kept_last)] == list(range(side_px))
    for span in found:
        assert 0 <= span.first <= span.kept_first < span.kept_last <= span.last <= side_px
        assert span.last - span.first == min(side_px, tile_px)
    for before, after in pairwise(found):
        assert min(before.last - before.kept_last, after.kept_first - after.first) >= MARGIN * tile_px - 1


def test_tiles_refine_as_the_whole_image_is_refined() -> None:
    image, truth, probabilities = scene()
    whole = refined_label_map(image, probabilities, PARAMETERS)
    tiled = refined_by_tiles(image, in_strips(probabilities), PARAMETERS, tile_px=192, workers=2)
    before = (probabilities.argmax(axis=0) == truth).mean()
    assert (whole == truth).mean() > before + 0.05
    assert (tiled == whole).mean() > 0.99


@pytest.mark.parametrize("tile_px", [384, 1000])
def test_an_image_that_one_tile_holds_is_refined_as_a_whole(tile_px: int) -> None:
    image, _, probabilities = scene()
    tiled = refined_by_tiles(image, in_strips(probabilities, rows=33), PARAMETERS, tile_px=tile_px, workers=1)
    np.testing.assert_array_equal(tiled, refined_label_map(image, probabilities, PARAMETERS))


def test_without_parameters_the_label_map_is_the_networks() -> None:
    image, _, probabilities = scene()
    tiled = refined_by_tiles(image, in_strips(probabilities), None, tile_px=100, workers=1)
    np.testing.assert_array_equal(tiled, probabilities.argmax(axis=0))


def test_kernels_are_as_wide_in_a_part_of_the_image() -> None:
    part = PARAMETERS.within((300, 400), of=(600, 800))
    assert part == replace(
        PARAMETERS,
        appearance_sigma_xy=2 * PARAMETERS.appearance_sigma_xy,
        smoothness_sigma_xy=2 * PARAMETERS.smoothness_sigma_xy,
    )
    assert PARAMETERS.within((96, 128), of=(96, 128)) == PARAMETERS


def test_a_tuning_window_is_one_part_of_image_probabilities_and_truth() -> None:
    image, truth, probabilities = scene()
    rng = np.random.default_rng(0)
    corners = set()
    for _ in range(5):
        window = tuning_window(image, in_strips(probabilities), truth, tile_px=100, rng=rng)
        ((top, left),) = [
            (top, left)
            for top in range(221)
            for left in range(285)
            if np.array_equal(image[top : top + 2, left : left + 100], window.image[:2])
        ]
        place = np.s_[top : top + 100, left : left + 100]
        np.testing.assert_array_equal(window.image, image[place])
        np.testing.assert_array_equal(window.truth, truth[place])
        np.testing.assert_array_equal(window.probabilities, probabilities[:, *place])
        assert window.fitted(PARAMETERS) == PARAMETERS.within((100, 100), of=(320, 384))
        corners.add((top, left))
    assert len(corners) == 5
    whole = tuning_window(image, in_strips(probabilities), truth, tile_px=400, rng=rng)
    np.testing.assert_array_equal(whole.probabilities, probabilities)
    assert whole.fitted(PARAMETERS) == PARAMETERS


def test_a_tile_is_as_large_as_memory_allows() -> None:
    for num_classes in (2, 20, 150):
        side_px = affordable_side_px(num_classes=num_classes)
        needed = [bytes_per_image(num_classes=num_classes, num_pixels=side**2) for side in (side_px, side_px + 1)]
        assert needed[0] <= TILE_BYTES < needed[1]


def test_strips_that_only_time_is_measured_with_hold_no_memory() -> None:
    image, _, probabilities = scene()
    ((first, strip),) = uniform_strips(image, num_classes=len(probabilities))
    assert first == 0 and strip.shape == probabilities.shape and strip.strides == (0, 0, 0)
    np.testing.assert_allclose(strip.sum(axis=0), 1, atol=1e-5)
    assert refined_by_tiles(image, iter([(first, strip)]), PARAMETERS, tile_px=200, workers=1).shape == (320, 384)


def test_only_the_strips_of_one_row_of_tiles_are_held() -> None:
    """The network's probabilities of a large image never exist at once."""
    image, _, probabilities = scene()
    alive: list[int] = []
    given = []

    class Strip(np.ndarray):  # type: ignore[type-arg]
        """It tells when it is gone."""

    def strips() -> Iterator[tuple[int, Probabilities]]:
        for first, rows in in_strips(probabilities, rows=16):
            strip = rows.copy().view(Strip)
            given.append(weakref.ref(strip))
            alive.append(sum(reference() is not None for reference in given))
            yield first, strip
            del strip

    refined_by_tiles(image, strips(), None, tile_px=64, workers=1)
    assert len(alive) == 20 and max(alive) <= 64 // 16 + 3
