"""Augmentations by albumentations' names: reproducible samples of one size, in which no label is invented."""

import inspect
import json
from collections import Counter
from collections.abc import Callable
from functools import cache
from typing import Any

import albumentations as A
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from segbench.augment.transforms import Augmentation, Transform, set_random_seeds
from segbench.errors import InputError
from segbench.labels import IGNORE_INDEX, LabelMap

GEOMETRIC: list[Transform] = [
    {"Affine": {"rotate": [-45, 45], "shear": [-20, 20], "translate_percent": [-0.2, 0.2], "p": 1.0}},
    {"Rotate": {"limit": 60, "p": 1.0}},
    {"RandomScale": {"scale_limit": [-0.5, 1.0], "p": 1.0}},
    {"ElasticTransform": {"alpha": 60, "sigma": 6, "p": 1.0}},
]
EVERYDAY: list[Transform] = [
    {"RandomScale": {"scale_limit": [-0.25, 0.5], "p": 1.0}},
    {"HorizontalFlip": {"p": 0.5}},
    {"ColorJitter": {"p": 1.0}},
]
RNG = np.random.default_rng(0)
IMAGE = RNG.integers(0, 256, (40, 50, 3), np.uint8)
LABEL_MAP = RNG.integers(0, 9, (40, 50), np.uint8)
LABEL_MAPS = arrays(np.uint8, st.tuples(st.integers(16, 48), st.integers(16, 48)), elements=st.integers(1, 254))
SEEDS = st.integers(0, 2**32 - 1)
QUARTERS = np.array([[0, 1], [2, 3]], np.uint8)


def test_a_seed_fixes_every_byte() -> None:
    nested: list[Transform] = [{"SomeOf": {"transforms": [{"Blur": {}}, {"Rotate": {}}, {"RandomGamma": {}}], "n": 2}}]
    augmentation = Augmentation(EVERYDAY + nested + GEOMETRIC, scale=1.0, crop_px=(24, 32))
    image, label_map = augmentation(IMAGE, LABEL_MAP, seed=3)
    other_image, other_label_map = augmentation(IMAGE, LABEL_MAP, seed=4)
    again_image, again_label_map = augmentation(IMAGE, LABEL_MAP, seed=3)
    assert image.tobytes() == again_image.tobytes()
    assert label_map.tobytes() == again_label_map.tobytes()
    assert image.tobytes() != other_image.tobytes()
    assert label_map.tobytes() != other_label_map.tobytes()


def test_transforms_choose_independently_of_each_other() -> None:
    """With one seed for all, exactly the mirrored images would be inverted, too."""
    transforms: list[Transform] = [{name: {"p": 0.5}} for name in ("HorizontalFlip", "VerticalFlip", "InvertImg")]
    augmentation = Augmentation(transforms, scale=1.0, crop_px=(2, 2))
    samples = (augmentation(np.zeros((2, 2, 3), np.uint8), QUARTERS, seed=seed) for seed in range(400))
    seen = Counter((int(label_map[0, 0]), int(image[0, 0, 0])) for image, label_map in samples)
    assert len(seen) == 8
    assert min(seen.values()) > 25


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
@given(label_map=LABEL_MAPS, seed=SEEDS)
def test_no_recipe_invents_a_label(label_map: LabelMap, seed: int) -> None:
    image = np.zeros((*label_map.shape, 3), np.uint8)
    _, augmented = GEOMETRIC_AUGMENTATION(image, label_map, seed=seed)
    assert set(np.unique(augmented)) <= {*np.unique(label_map), IGNORE_INDEX}


NEEDED: dict[str, dict[str, Any]] = {
    "AtLeastOneBBoxRandomCrop": {"height": 16, "width": 16},
    "CenterCrop": {"height": 16, "width": 16},
    "CenterCrop3D": {"size": [2, 2, 2]},
    "Crop": {"x_max": 16, "y_max": 16},
    "CropAndPad": {"percent": [-0.3, 0.3]},
    "CropNonEmptyMaskIfExists": {"height": 16, "width": 16},
    "ElasticTransform": {"alpha": 60, "sigma": 6},
    "GridElasticDeform": {"num_grid_xy": [4, 4], "magnitude": 10},
    "LongestMaxSize": {"max_size": 40},
    "Pad3D": {"padding": 3},
    "PadIfNeeded3D": {"min_zyx": [3, 3, 3]},
    "RandomCrop": {"height": 16, "width": 16},
    "RandomCrop3D": {"size": [2, 2, 2]},
    "RandomResizedCrop": {"size": [20, 30]},
    "RandomSizedBBoxSafeCrop": {"height": 16, "width": 16},
    "RandomSizedCrop": {"min_max_height": [10, 16], "size": [20, 30]},
    "Resize": {"height": 20, "width": 30},
    "SmallestMaxSize": {"max_size": 40},
}
"""Arguments without which a transform does not work or does almost nothing."""
REFUSED = {
    "BBoxSafeRandomCrop": "needs bboxes, which a sample does not have",
    "CenterCrop3D": "it does not transform images",
    "CoarseDropout3D": "it does not transform images",
    "CubicSymmetry": "it does not transform images",
    "FrequencyMasking": "consider using XYMasking",
    "GridElasticDeform": "it makes pixels of label 0 where an image has none",
    "Lambda": "To make a Lambda transform serializable",
    "Mosaic": "needs mosaic_metadata, which a sample does not have",
    "OverlayElements": "needs overlay_metadata, which a sample does not have",
    "Pad3D": "it does not transform images",
    "PadIfNeeded3D": "it does not transform images",
    "RandomCrop3D": "it does not transform images",
    "RandomCropNearBBox": "needs cropping_bbox, which a sample does not have",
    "RandomSizedBBoxSafeCrop": "needs bboxes, which a sample does not have",
    "TimeMasking": "consider using XYMasking",
    "TimeReverse": "Consider using HorizontalFlip",
}
SPATIAL = {
    name
    for name, member in vars(A).items()
    if inspect.isclass(member) and issubclass(member, A.DualTransform) and "interface" not in member.__module__
}


@cache
def always(name: str) -> Augmentation:
    """An augmentation by one transform that is always applied."""
    return Augmentation([{name: {"p": 1.0, **NEEDED.get(name, {})}}], scale=1.0, crop_px=(32, 32))


@pytest.mark.filterwarnings("ignore:Neither valid mask nor bboxes")
@pytest.mark.parametrize("name", sorted(SPATIAL - REFUSED.keys()))
@settings(max_examples=15, deadline=None)
@given(label_map=LABEL_MAPS, seed=SEEDS)
def test_no_spatial_transform_invents_a_label(name: str, label_map: LabelMap, seed: int) -> None:
    image = np.zeros((*label_map.shape, 3), np.uint8)
    _, augmented = always(name)(image, label_map, seed=seed)
    assert set(np.unique(augmented)) <= {*np.unique(label_map), IGNORE_INDEX}


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_a_transform_that_spoils_label_maps_or_needs_more_than_a_sample_is_refused(name: str) -> None:
    with pytest.raises(InputError, match=rf"^params\.yaml: augment\.transforms\.0\.{name}.*{REFUSED[name]}"):
        always(name)


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
        ("Rotate", {"fill_mask": 0}, "Rotate.fill_mask is 0; it must be 255 or left out"),
        ("PixelDropout", {"mask_drop_value": 3}, "PixelDropout.mask_drop_value is 3; it must be 255 or left out"),
        ("RandomCrop", {}, "RandomCrop: .*height Field required"),
        ("OneOf", {}, "OneOf.transforms is None; it must be a list of transforms"),
        ("OneOf", {"transforms": [{"Flop": {}}]}, r"OneOf.transforms.0.Flop: albumentations .* has no such transform"),
        ("OneOf", {"transforms": ["Blur"]}, "OneOf.transforms.0 is Blur; it must be one {name: {argument: value}}"),
        ("SomeOf", {"transforms": [{"Rotate": {"fill_mask": 0}}]}, "SomeOf.transforms.0.Rotate.fill_mask is 0"),
        ("SomeOf", {"transforms": [{"Blur": {}}], "m": 1}, "SomeOf has no argument m; it has transforms, n"),
        ("OneOrOther", {"transforms": [{"Blur": {}}]}, "OneOrOther: Length of transforms is not equal to 2"),
        ("Normalize", {}, "Normalize: it makes float32 images .* samples must stay uint8 RGB"),
        ("ToGray", {"num_output_channels": 1}, "ToGray: it makes uint8 images .* samples must stay uint8 RGB"),
        ("FDA", {}, "FDA: .* its dependency on external data"),
    ],
)
def test_a_mistake_in_a_transform_is_named_in_one_line(name: str, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=rf"^params\.yaml: augment\.transforms\.1\.{message}") as caught:
        Augmentation([{"HorizontalFlip": {}}, {name: arguments}], scale=1.0, crop_px=(24, 32))
    assert "\n" not in str(caught.value)


def test_a_transform_that_wants_a_larger_image_is_an_input_error() -> None:
    augmentation = Augmentation([{"RandomCrop": {"height": 200, "width": 200}}], scale=1.0, crop_px=(24, 32))
    with pytest.raises(InputError, match=r"^params\.yaml: augment\.transforms: Crop size \(height, width\) exceeds"):
        augmentation(IMAGE, LABEL_MAP, seed=0)


def test_transforms_may_stand_inside_others() -> None:
    """Each image is either mirrored in one direction or turned, never both."""
    turned = {"Sequential": {"transforms": [{"Transpose": {"p": 1.0}}, {"HorizontalFlip": {"p": 1.0}}], "p": 1.0}}
    choices: list[Transform] = [{"HorizontalFlip": {}}, {"VerticalFlip": {}}, turned]
    augmentation = Augmentation([{"OneOf": {"transforms": choices, "p": 1.0}}], scale=1.0, crop_px=(2, 2))
    image = np.repeat(QUARTERS[..., None], 3, axis=2)
    seen = set()
    for seed in range(50):
        sample, label_map = augmentation(image, QUARTERS, seed=seed)
        np.testing.assert_array_equal(sample[..., 0], label_map)
        seen.add(tuple(label_map.ravel().tolist()))
    assert seen == {(1, 0, 3, 2), (2, 3, 0, 1), (2, 0, 3, 1)}


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("RandomScale", lambda factor: {"scale_limit": [factor - 1, factor - 1]}),
        ("RandomScale", lambda factor: {"scale_limit": [factor - 1, factor - 1], "mask_interpolation": 0}),
        ("LongestMaxSize", lambda factor: {"max_size": round(200 * factor)}),
        ("Affine", lambda factor: {"scale": [factor, factor]}),
    ],
)
def test_a_resized_label_map_lies_on_its_image(name: str, arguments: Callable[[float], dict[str, Any]]) -> None:
    """Each pixel has its coordinate as value; averaged over factors, image and label map must agree on it."""
    beside = []
    for factor in np.linspace(0.5, 1.5, 11):
        for place in np.indices((200, 200)).astype(np.uint8):
            transform = {name: {**arguments(float(factor)), "p": 1.0}}
            augmentation = Augmentation([transform], scale=1.0, crop_px=(64, 64), position="center")
            image, label_map = augmentation(np.repeat(place[..., None], 3, axis=2), place, seed=0)
            beside.append(float((label_map.astype(float) - image[..., 0]).mean()))
    assert abs(np.mean(beside)) < 0.1, "INTER_NEAREST has -0.3"


def test_nearest_neighbour_may_be_asked_for_by_name() -> None:
    transforms: list[Transform] = [{"Rotate": {"limit": 30, "mask_interpolation": 0, "p": 1.0}}]
    _, label_map = Augmentation(transforms, scale=1.0, crop_px=(24, 32))(IMAGE, LABEL_MAP, seed=0)
    assert set(np.unique(label_map)) <= {*np.unique(LABEL_MAP), IGNORE_INDEX}


def test_albumentations_reads_the_serialised_transforms_back() -> None:
    augmentation = Augmentation(EVERYDAY + GEOMETRIC, scale=1.0, crop_px=(24, 32))
    loaded = A.from_dict(json.loads(json.dumps(augmentation.serialised())))
    set_random_seeds(loaded, 5)
    theirs = loaded(image=IMAGE, mask=LABEL_MAP)
    image, label_map = augmentation(IMAGE, LABEL_MAP, seed=5)
    np.testing.assert_array_equal(theirs["image"], image)
    np.testing.assert_array_equal(theirs["mask"], label_map)
