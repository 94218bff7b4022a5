"""Where a label map has to be moved to lie on its image."""

import numpy as np
import pytest

from segbench.datasets import scenes
from segbench.datasets.alignment import Alignment, align

IMAGE, LABEL_MAP = scenes.draw_scene(rng=np.random.default_rng(3), width_px=128, height_px=96)
FOURFOLD = np.ones((4, 4), np.uint8)


def found(image: np.ndarray, label_map: np.ndarray) -> Alignment:
    alignment = align(image, label_map)
    assert alignment is not None
    return alignment


def test_a_label_map_as_drawn_is_in_place() -> None:
    alignment = found(IMAGE, LABEL_MAP)
    assert (alignment.down_px, alignment.right_px) == (0, 0)
    assert alignment.in_place == alignment.best > 10


@pytest.mark.parametrize(("down_px", "right_px"), [(0, 20), (0, -20), (-7, 0), (30, 50)])
def test_the_way_back_is_opposite_to_how_it_was_wrapped(down_px: int, right_px: int) -> None:
    alignment = found(IMAGE, np.roll(LABEL_MAP, (down_px, right_px), axis=(0, 1)))
    assert (alignment.down_px, alignment.right_px) == (-down_px, -right_px)
    assert alignment.best > 10 and alignment.in_place < 6


def test_a_shift_of_one_cell_is_taken_as_in_place() -> None:
    alignment = found(IMAGE, np.roll(LABEL_MAP, 1, axis=1))
    assert alignment.right_px == -1
    assert alignment.in_place == alignment.best


def test_large_images_are_compared_in_cells_and_shifts_told_in_px() -> None:
    image = np.kron(IMAGE, FOURFOLD[..., np.newaxis])
    small, large = (
        found(IMAGE, np.roll(LABEL_MAP, 20, axis=1)),
        found(image, np.kron(np.roll(LABEL_MAP, 20, 1), FOURFOLD)),
    )
    assert (small.right_px, large.right_px) == (-20, -80)
    assert large.best == pytest.approx(small.best, abs=0.02)


def test_without_edges_nothing_is_known() -> None:
    assert align(IMAGE, np.zeros_like(LABEL_MAP)) is None
    assert align(np.full_like(IMAGE, 90), LABEL_MAP) is None
    assert align(IMAGE[:1, :1], LABEL_MAP[:1, :1]) is None


def test_an_image_narrower_than_a_cell_is_not_compared() -> None:
    for shape in ((3000, 10), (16, 4096)):
        labels = np.random.default_rng(0).integers(0, 2, shape, np.uint8)
        assert align(np.stack([90 * labels] * 3, axis=-1), labels) is None
