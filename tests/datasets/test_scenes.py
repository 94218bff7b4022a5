"""Scenes are reproducible, well formed, and difficult in the ways that the module's docstring lists."""

import numpy as np
import pytest
from numpy.typing import NDArray

from segbench.datasets import scenes
from segbench.datasets.scenes import BOAT, BUILDING, CAR, CLASSES, POLE, ROAD, SKY, WATER, draw_scene
from segbench.labels import IGNORE_INDEX, LabelMap

WIDTH_PX, HEIGHT_PX = 128, 96
SPLIT_SCENES = 40
MARGIN_PX = 2


def draw_scenes(*, seed: int, count: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    rng = np.random.default_rng(seed)
    pairs = [draw_scene(rng=rng, width_px=WIDTH_PX, height_px=HEIGHT_PX) for _ in range(count)]
    return np.stack([image for image, _ in pairs]), np.stack([label_map for _, label_map in pairs])


@pytest.fixture(scope="module")
def drawn() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """(160, H, W, 3) images and (160, H, W) label maps."""
    return draw_scenes(seed=0, count=160)


def test_a_seed_fixes_every_byte() -> None:
    image, label_map = draw_scene(rng=np.random.default_rng(7), width_px=WIDTH_PX, height_px=HEIGHT_PX)
    again, label_map_again = draw_scene(rng=np.random.default_rng(7), width_px=WIDTH_PX, height_px=HEIGHT_PX)
    other, _ = draw_scene(rng=np.random.default_rng(8), width_px=WIDTH_PX, height_px=HEIGHT_PX)
    assert image.tobytes() == again.tobytes()
    assert label_map.tobytes() == label_map_again.tobytes()
    assert image.tobytes() != other.tobytes()


@pytest.mark.parametrize(("width_px", "height_px"), [(128, 96), (97, 65), (32, 32), (40, 120)])
def test_shapes_and_values(width_px: int, height_px: int) -> None:
    rng = np.random.default_rng(3)
    for _ in range(8):
        image, label_map = draw_scene(rng=rng, width_px=width_px, height_px=height_px)
        assert image.shape == (height_px, width_px, 3)
        assert image.dtype == np.uint8
        assert label_map.shape == (height_px, width_px)
        assert label_map.dtype == np.uint8
        assert set(np.unique(label_map)) <= {*range(len(CLASSES)), IGNORE_INDEX}
        assert image.std() > 10


def test_too_small_a_scene_is_refused() -> None:
    with pytest.raises(ValueError, match="scene of 31 x 96 px; both sides must be at least 32 px"):
        draw_scene(rng=np.random.default_rng(0), width_px=31, height_px=96)


def test_every_split_shows_every_class_often(drawn: tuple[NDArray[np.uint8], NDArray[np.uint8]]) -> None:
    _, label_maps = drawn
    for split in label_maps.reshape(-1, SPLIT_SCENES, HEIGHT_PX, WIDTH_PX):
        for label, name in enumerate(CLASSES.names):
            assert (split == label).any(axis=(1, 2)).sum() >= SPLIT_SCENES // 2, name
            assert (split == label).mean() > 0.004, name
        assert 0.015 < (split == IGNORE_INDEX).mean() < 0.06


def test_no_pole_is_lost_to_the_void_contour() -> None:
    rng = np.random.default_rng(5)
    for _ in range(40):
        canvas = scenes.Canvas(width_px=WIDTH_PX, height_px=HEIGHT_PX, light=scenes.LIGHTS[0])
        foot = (rng.uniform(20, 100), 80.0)
        scenes._paint_pole(canvas, rng, is_lamp=True, foot=foot, height=40)
        stem_rows = scenes._label_map(canvas.class_map)[52:80]
        assert (stem_rows == POLE).any(axis=1).all(), f"a pole at x = {foot[0]:.2f} has rows without a label"


def interior_crops(images: NDArray[np.uint8], label_maps: LabelMap, *, label: int, side_px: int) -> NDArray[np.float32]:
    """(N, side_px * side_px * 3) crops that lie in one class, MARGIN_PX inside it: beyond the blur of its contour."""
    span_px = side_px + 2 * MARGIN_PX
    windows = np.lib.stride_tricks.sliding_window_view(label_maps, (span_px, span_px), axis=(1, 2))[:, ::2, ::2]
    corners = np.argwhere((windows == label).all(axis=(3, 4))) * (1, 2, 2) + (0, MARGIN_PX, MARGIN_PX)
    return np.array([images[i, y : y + side_px, x : x + side_px].ravel() for i, y, x in corners], np.float32)


@pytest.mark.parametrize("side_px", [1, 4])
def test_inside_a_car_looks_like_inside_a_boat(
    drawn: tuple[NDArray[np.uint8], NDArray[np.uint8]], side_px: int
) -> None:
    """Nearest neighbours among crops of 100 scenes cannot classify crops of 60 others: only surroundings tell."""
    images, label_maps = drawn
    fit, held_out = slice(0, 100), slice(100, 160)
    known = [interior_crops(images[fit], label_maps[fit], label=label, side_px=side_px) for label in (CAR, BOAT)]
    count = min(map(len, known))
    known = [crops[:: len(crops) // count][:count] for crops in known]
    recalls = []
    for own, label in enumerate((CAR, BOAT)):
        crops = interior_crops(images[held_out], label_maps[held_out], label=label, side_px=side_px)[::3]
        distances = [
            ((crops**2).sum(1)[:, None] - 2 * crops @ fitted.T + (fitted**2).sum(1)).min(axis=1) for fitted in known
        ]
        recalls.append(np.mean(np.argmin(distances, axis=0) == own))
    assert 0.4 < np.mean(recalls) < 0.6


def test_surroundings_tell_a_car_from_a_boat(drawn: tuple[NDArray[np.uint8], NDArray[np.uint8]]) -> None:
    _, label_maps = drawn
    right = []
    for label, ground, other_ground in ((CAR, ROAD, WATER), (BOAT, WATER, ROAD)):
        for label_map in label_maps[(label_maps == label).any(axis=(1, 2))]:
            near = np.lib.stride_tricks.sliding_window_view(np.pad(label_map == label, 5), (11, 11)).any(axis=(2, 3))
            right.append((label_map[near] == ground).sum() > (label_map[near] == other_ground).sum())
    assert np.mean(right) > 0.95


def test_water_has_the_skys_colours_and_buildings_have_many(
    drawn: tuple[NDArray[np.uint8], NDArray[np.uint8]],
) -> None:
    images, label_maps = drawn
    sky, water, building = (images[label_maps == label].astype(np.float64) for label in (SKY, WATER, BUILDING))
    sky_to_water = np.linalg.norm(sky.mean(axis=0) - water.mean(axis=0))
    building_spread = np.linalg.norm(building.std(axis=0))
    assert sky_to_water < 0.6 * building_spread


def test_colour_alone_fails(drawn: tuple[NDArray[np.uint8], NDArray[np.uint8]]) -> None:
    """The most frequent class of each of 4096 colours over 130 scenes segments 30 others badly."""
    images, label_maps = drawn
    colors = (images // 16).astype(np.int64) @ np.array([256, 16, 1])
    known = label_maps != IGNORE_INDEX
    counts = np.zeros((4096, len(CLASSES)), np.int64)
    np.add.at(counts, (colors[:130][known[:130]], label_maps[:130][known[:130]]), 1)
    truth, predicted = label_maps[130:][known[130:]], counts.argmax(axis=1)[colors[130:][known[130:]]]
    class_iou = [
        ((truth == k) & (predicted == k)).sum() / ((truth == k) | (predicted == k)).sum() for k in range(len(CLASSES))
    ]
    assert 0.15 < np.mean(class_iou) < 0.45
