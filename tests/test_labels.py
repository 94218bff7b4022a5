"""Classes, their colours, and resizing that never mixes labels."""

import re

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from segbench.errors import InputError
from segbench.labels import (
    IGNORE_INDEX,
    Classes,
    LabelMap,
    check_label_range,
    distinct_colors,
    from_colors,
    from_values,
    resize_label_map,
)

ROAD_AND_SKY = Classes.of([("road", (128, 64, 128)), ("sky", [70, 130, 180])])

label_maps = arrays(np.uint8, st.tuples(st.integers(1, 12), st.integers(1, 12)))
side_px = st.integers(1, 30)


def test_classes_keep_the_order_of_the_table() -> None:
    assert ROAD_AND_SKY.names == ("road", "sky")
    assert ROAD_AND_SKY.colors == ((128, 64, 128), (70, 130, 180))
    assert len(ROAD_AND_SKY) == 2


def test_there_must_be_as_many_colours_as_names() -> None:
    with pytest.raises(ValueError, match="2 class names but 1 colours"):
        Classes(names=("road", "sky"), colors=((0, 0, 0),))


def test_names_of_classes_must_differ() -> None:
    with pytest.raises(ValueError, match="twice"):
        Classes(names=("road", "road"), colors=((0, 0, 0), (1, 1, 1)))


@pytest.mark.parametrize("count", [0, IGNORE_INDEX + 1])
def test_no_class_and_a_class_at_the_ignore_index_are_refused(count: int) -> None:
    with pytest.raises(ValueError, match=f"{count} classes; there must be 1 to 255"):
        Classes(names=tuple(f"class {n}" for n in range(count)), colors=((0, 0, 0),) * count)


def test_colorize_paints_classes_and_leaves_ignored_pixels_black() -> None:
    label_map = np.array([[0, 1], [IGNORE_INDEX, 0]], np.uint8)
    expected = [[[128, 64, 128], [70, 130, 180]], [[0, 0, 0], [128, 64, 128]]]
    assert ROAD_AND_SKY.colorize(label_map).tolist() == expected
    assert ROAD_AND_SKY.palette().shape == (256, 3)
    assert not ROAD_AND_SKY.palette()[2:].any()


def test_labels_of_the_classes_and_the_ignore_index_pass() -> None:
    check_label_range(np.array([[0, 10, 11]]), num_classes=11, ignore_index=11, where="train/a.png")
    check_label_range(np.array([[0, 10, 255]]), num_classes=11, where="train/a.png")


@pytest.mark.parametrize("wrong", [12, -1])
def test_a_label_outside_the_classes_is_named_with_its_place(wrong: int) -> None:
    message = f"train/a.png: label {wrong} is outside 0..10 and is not ignore_index 11"
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        check_label_range(np.array([[0, 11], [wrong, 10]]), num_classes=11, ignore_index=11, where="train/a.png")


@given(label_map=label_maps, height_px=side_px, width_px=side_px)
def test_resizing_invents_no_label(label_map: LabelMap, height_px: int, width_px: int) -> None:
    resized = resize_label_map(label_map, height_px=height_px, width_px=width_px)
    assert resized.shape == (height_px, width_px)
    assert resized.dtype == np.uint8
    assert set(np.unique(resized)) <= set(np.unique(label_map))


@given(label_map=label_maps)
def test_resizing_to_the_same_size_changes_nothing(label_map: LabelMap) -> None:
    height_px, width_px = label_map.shape
    np.testing.assert_array_equal(resize_label_map(label_map, height_px=height_px, width_px=width_px), label_map)


def test_resizing_takes_the_label_at_each_new_pixels_centre() -> None:
    label_map = np.arange(9, dtype=np.uint8).reshape(3, 3)
    assert resize_label_map(label_map, height_px=1, width_px=1).tolist() == [[4]]
    assert resize_label_map(label_map, height_px=2, width_px=6).tolist() == [[0, 0, 1, 1, 2, 2], [6, 6, 7, 7, 8, 8]]


# With odd sides, no new centre lies on the border of two old pixels, which would be equally near.
@given(
    label_map=arrays(np.uint8, st.tuples(*[st.integers(0, 8).map(lambda half: 2 * half + 1)] * 2)),
    height_px=side_px,
    width_px=side_px,
)
def test_resizing_agrees_with_torchs_nearest_exact(label_map: LabelMap, height_px: int, width_px: int) -> None:
    theirs = torch.nn.functional.interpolate(
        torch.from_numpy(label_map)[None, None], size=(height_px, width_px), mode="nearest-exact"
    )[0, 0]
    ours = resize_label_map(label_map, height_px=height_px, width_px=width_px)
    np.testing.assert_array_equal(ours, theirs.numpy())


@given(label_map=arrays(np.uint8, st.tuples(side_px, side_px), elements=st.sampled_from([0, 1, 2, IGNORE_INDEX])))
def test_colours_lead_back_to_classes(label_map: LabelMap) -> None:
    classes = Classes.of([("a", (1, 2, 3)), ("b", (255, 255, 255)), ("c", (3, 2, 1))])
    np.testing.assert_array_equal(classes.from_colors(classes.colorize(label_map)), label_map)


def test_black_is_a_class_if_one_has_it() -> None:
    classes = Classes.of([("white", (255, 255, 255)), ("black", (0, 0, 0))])
    assert classes.from_colors(np.zeros((1, 1, 3), np.uint8)).tolist() == [[1]]


def test_colours_of_no_class_or_of_two_are_refused() -> None:
    with pytest.raises(InputError, match=r"colour \(1, 2, 4\) is no class's"):
        Classes.of([("a", (1, 2, 3))]).from_colors(np.array([[[1, 2, 3], [1, 2, 4]]], np.uint8))
    with pytest.raises(InputError, match="two classes have the same colour"):
        Classes.of([("a", (1, 2, 3)), ("b", (1, 2, 3))]).from_colors(np.zeros((1, 1, 3), np.uint8))


values = st.integers(0, 65535)


@given(st.lists(values, min_size=1, max_size=255, unique=True), label_maps, st.sampled_from([np.uint16, np.int32]))
def test_values_of_a_file_become_class_indices(table: list[int], chosen: LabelMap, dtype: type) -> None:
    indices = chosen % len(table)
    raw: NDArray[np.integer] = np.array(table, dtype)[indices]
    np.testing.assert_array_equal(from_values(raw, {value: index for index, value in enumerate(table)}), indices)


@given(st.sets(values, min_size=1, max_size=30), values)
def test_a_value_that_the_table_lacks_is_named(table: set[int], value: int) -> None:
    raw = np.array([[min(table), value]], np.uint16)
    if value in table:
        from_values(raw, dict.fromkeys(table, 0))
    else:
        with pytest.raises(InputError, match=f"^value {value} is no class's; those are {min(table)}"):
            from_values(raw, dict.fromkeys(table, 0))


def test_a_negative_value_is_no_class() -> None:
    with pytest.raises(InputError, match="^value -1 is no class's; those are 0, 1$"):
        from_values(np.array([[0, -1]], np.int32), {0: 0, 1: 1})


def test_colours_become_class_indices_and_ignored_pixels() -> None:
    image = np.array([[[0, 0, 1], [255, 0, 0], [0, 1, 0]]], np.uint8)
    assert from_colors(image, {(255, 0, 0): 1, (0, 1, 0): IGNORE_INDEX, (0, 0, 1): 0}).tolist() == [
        [0, 1, IGNORE_INDEX]
    ]
    with pytest.raises(InputError, match=r"^colour \(0, 1, 0\) is no class's$"):
        from_colors(image, {(255, 0, 0): 1, (0, 0, 1): 0})


def test_there_are_colours_for_every_class_and_none_is_black() -> None:
    colors = distinct_colors(255)
    assert len(set(colors)) == 255
    assert (0, 0, 0) not in colors
