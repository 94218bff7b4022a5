"""Augmented samples are reproducible, of one size, and never hold a label that was not there."""

import json
import re
from pathlib import Path
from typing import Any

import albumentations as A
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from segbench.augmentation import Augmentation, Recipe, read_recipe, write_augmented
from segbench.datasets import scenes
from segbench.datasets.preparation import prepare
from segbench.datasets.prepared import Prepared
from segbench.errors import InputError
from segbench.labels import IGNORE_INDEX, LabelMap

Transforms = list[dict[str, dict[str, Any]]]

GEOMETRIC: Transforms = [
    {"Affine": {"rotate": [-45, 45], "shear": [-20, 20], "translate_percent": [-0.2, 0.2], "p": 1.0}},
    {"Rotate": {"limit": 60, "p": 1.0}},
    {"RandomScale": {"scale_limit": [-0.5, 1.0], "p": 1.0}},
    {"ElasticTransform": {"alpha": 60, "sigma": 6, "p": 1.0}},
]
EVERYDAY: Transforms = [
    {"RandomScale": {"scale_limit": [-0.25, 0.5], "p": 1.0}},
    {"HorizontalFlip": {"p": 0.5}},
    {"ColorJitter": {"p": 1.0}},
]
RNG = np.random.default_rng(0)
IMAGE = RNG.integers(0, 256, (40, 50, 3), np.uint8)
LABEL_MAP = RNG.integers(0, 9, (40, 50), np.uint8)


def test_a_seed_fixes_every_byte() -> None:
    augmentation = Augmentation(EVERYDAY + GEOMETRIC, scale=1.0, crop_px=(24, 32))
    image, label_map = augmentation(IMAGE, LABEL_MAP, seed=3)
    other_image, other_label_map = augmentation(IMAGE, LABEL_MAP, seed=4)
    again_image, again_label_map = augmentation(IMAGE, LABEL_MAP, seed=3)
    assert image.tobytes() == again_image.tobytes()
    assert label_map.tobytes() == again_label_map.tobytes()
    assert image.tobytes() != other_image.tobytes()
    assert label_map.tobytes() != other_label_map.tobytes()


def test_image_and_label_map_move_together() -> None:
    augmentation = Augmentation([{"HorizontalFlip": {}}, {"RandomRotate90": {"p": 1.0}}], scale=1.0, crop_px=(24, 24))
    for seed in range(8):
        image, label_map = augmentation(np.repeat(LABEL_MAP[..., None], 3, axis=2), LABEL_MAP, seed=seed)
        np.testing.assert_array_equal(image[..., 0], label_map)


@pytest.mark.parametrize("scale", [0.25, 1.0, 2.0])
@pytest.mark.parametrize("crop_px", [(16, 16), (24, 65), (70, 30), (97, 113)])
def test_samples_have_the_crops_size_whatever_the_images_size(scale: float, crop_px: tuple[int, int]) -> None:
    image, label_map = Augmentation(EVERYDAY, scale=scale, crop_px=crop_px)(IMAGE, LABEL_MAP, seed=0)
    assert image.shape == (*crop_px, 3)
    assert label_map.shape == crop_px
    assert image.dtype == label_map.dtype == np.uint8


def test_padding_has_no_class_and_keeps_the_whole_image() -> None:
    _, label_map = Augmentation([], scale=1.0, crop_px=(60, 70))(IMAGE, LABEL_MAP, seed=0)
    rows, columns = np.nonzero(label_map != IGNORE_INDEX)
    inside = label_map[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    np.testing.assert_array_equal(inside, LABEL_MAP)


GEOMETRIC_AUGMENTATION = Augmentation(GEOMETRIC, scale=0.75, crop_px=(32, 32))


@settings(max_examples=60, deadline=None)
@given(
    label_map=arrays(np.uint8, st.tuples(st.integers(16, 48), st.integers(16, 48)), elements=st.integers(0, 254)),
    seed=st.integers(0, 2**32 - 1),
)
def test_no_transform_invents_a_label(label_map: LabelMap, seed: int) -> None:
    image = np.zeros((*label_map.shape, 3), np.uint8)
    _, augmented = GEOMETRIC_AUGMENTATION(image, label_map, seed=seed)
    assert set(np.unique(augmented)) <= {*np.unique(label_map), IGNORE_INDEX}


def test_borders_that_a_transform_makes_have_no_class() -> None:
    turned = Augmentation([{"Rotate": {"limit": [45, 45], "p": 1.0}}], scale=1.0, crop_px=(40, 50))
    _, label_map = turned(IMAGE, np.zeros_like(LABEL_MAP), seed=0)
    assert label_map[0, 0] == label_map[-1, -1] == IGNORE_INDEX
    assert label_map[20, 25] == 0


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("HorizontalFlop", {}, "HorizontalFlop: albumentations .* has no such transform"),
        ("Compose", {}, "Compose: albumentations .* has no such transform"),
        ("Rotate", {"angle": 3}, "Rotate has no argument angle; it has limit, interpolation"),
        ("Rotate", {"p": 1.5}, r"Rotate: .*\bp Input should be less than or equal to 1"),
        ("RandomScale", {"scale_limit": "x"}, "RandomScale: .*scale_limit"),
        ("Blur", {"blur_limit": 4}, "Blur: blur_limit: Non-zero kernel sizes must be odd"),
        (
            "Rotate",
            {"mask_interpolation": 1},
            "Rotate.mask_interpolation: label maps are resized by nearest neighbour only",
        ),
        ("RandomScale", {"area_for_downscale": "image_mask"}, r"RandomScale.area_for_downscale: label maps are"),
    ],
)
def test_a_mistake_in_a_transform_is_named_in_one_line(name: str, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=rf"^params\.yaml: augment\.transforms\.1\.{message}") as caught:
        Augmentation([{"HorizontalFlip": {}}, {name: arguments}], scale=1.0, crop_px=(24, 32))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        pytest.param("Normalize", {"p": 1.0}, id="makes fractions of grey levels"),
        pytest.param("ToGray", {"num_output_channels": 1, "p": 1.0}, id="drops channels"),
        pytest.param("RandomCrop", {"height": 200, "width": 200}, id="wants a larger image"),
        pytest.param("FDA", {"p": 1.0}, id="wants further images"),
    ],
)
def test_a_transform_that_cannot_make_a_sample_is_an_input_error(name: str, arguments: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"^params\.yaml: augment\.transforms"):
        Augmentation([{name: arguments}], scale=1.0, crop_px=(24, 32))(IMAGE, LABEL_MAP, seed=0)


def test_nearest_neighbour_may_be_asked_for_by_name() -> None:
    transforms: Transforms = [{"Rotate": {"limit": 30, "mask_interpolation": 0, "p": 1.0}}]
    _, label_map = Augmentation(transforms, scale=1.0, crop_px=(24, 32))(IMAGE, LABEL_MAP, seed=0)
    assert set(np.unique(label_map)) <= {*np.unique(LABEL_MAP), IGNORE_INDEX}


def test_albumentations_reads_the_serialised_transforms_back() -> None:
    augmentation = Augmentation(EVERYDAY + GEOMETRIC, scale=1.0, crop_px=(24, 32))
    loaded = A.from_dict(json.loads(json.dumps(augmentation.serialised())))
    loaded.set_random_seed(5)
    theirs = loaded(image=IMAGE, mask=LABEL_MAP)
    image, label_map = augmentation(IMAGE, LABEL_MAP, seed=5)
    np.testing.assert_array_equal(theirs["image"], image)
    np.testing.assert_array_equal(theirs["mask"], label_map)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    num_images = {"train": 3, "val": 1, "test": 1}
    source = scenes.open_source(seed=0, width_px=48, height_px=40, num_images=num_images)
    return prepare(source, tmp_path_factory.mktemp("data") / "prepared")


@pytest.mark.parametrize("copies", [0, 2])
def test_a_recipe_comes_back_as_it_was_written(tmp_path: Path, prepared: Prepared, copies: int) -> None:
    recipe = Recipe(seed=1, copies=copies, scale=0.5, crop_px=(16, 24), transforms=EVERYDAY)
    write_augmented(recipe, prepared, tmp_path)
    assert read_recipe(tmp_path) == recipe


def test_stored_samples_are_copies_times_images_of_the_crops_size(tmp_path: Path, prepared: Prepared) -> None:
    recipe = Recipe(seed=1, copies=2, scale=0.5, crop_px=(16, 24), transforms=EVERYDAY)
    write_augmented(recipe, prepared, tmp_path)
    images, label_maps = np.load(tmp_path / "images.npy"), np.load(tmp_path / "label_maps.npy")
    assert images.shape == (6, 16, 24, 3)
    assert label_maps.shape == (6, 16, 24)
    assert images.dtype == label_maps.dtype == np.uint8
    assert len({image.tobytes() for image in images}) == 6


def test_a_recipe_with_a_mistake_writes_nothing(tmp_path: Path, prepared: Prepared) -> None:
    recipe = Recipe(seed=1, copies=1, scale=1.0, crop_px=(16, 24), transforms=[{"HorizontalFlop": {}}])
    with pytest.raises(InputError, match=re.escape("augment.transforms.0.HorizontalFlop")):
        write_augmented(recipe, prepared, tmp_path / "augmented")
    assert not (tmp_path / "augmented").exists()


def test_the_seed_of_a_recipe_changes_its_samples(prepared: Prepared) -> None:
    def first_samples(seed: int) -> set[bytes]:
        recipe = Recipe(seed=seed, copies=0, scale=1.0, crop_px=(16, 24), transforms=EVERYDAY)
        augmentation = recipe.augmentation()
        samples = [recipe.sample(position, prepared=prepared, augmentation=augmentation) for position in range(6)]
        return {image.tobytes() for image, _ in samples}

    assert first_samples(0) == first_samples(0)
    assert not first_samples(0) & first_samples(1)
