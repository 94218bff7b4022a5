"""All networks see one stream of samples, stored or made when asked for, in an order that seed and epoch fix."""

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from segbench.augment import stream as augmentation
from segbench.augment.stream import Recipe, Stream, write_augmented
from segbench.datasets import scenes
from segbench.datasets.preparation import prepare
from segbench.datasets.prepared import Prepared
from segbench.errors import InputError
from segbench.training import samples
from segbench.training.samples import AugmentedSamples, EpochSampler, WholeImages, rarity
from tests.untrusted import MakesFolder

NUM_TRAIN, COPIES = 3, 2
RECIPE = Recipe(
    seed=1,
    copies=COPIES,
    scale=0.75,
    crop_px=(24, 32),
    transforms=[{"RandomScale": {"scale_limit": [-0.25, 0.5], "p": 1.0}}, {"HorizontalFlip": {}}, {"ColorJitter": {}}],
)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    source = scenes.open_source(seed=0, width_px=64, height_px=48, num_train=NUM_TRAIN, num_val=2, num_test=1)
    return prepare(source, tmp_path_factory.mktemp("data") / "prepared")


@pytest.fixture(scope="module")
def stored(prepared: Prepared, tmp_path_factory: pytest.TempPathFactory) -> AugmentedSamples:
    folder = tmp_path_factory.mktemp("stored")
    write_augmented(RECIPE, prepared, folder)
    return AugmentedSamples(folder, prepared)


@pytest.fixture(scope="module")
def on_the_fly(prepared: Prepared, tmp_path_factory: pytest.TempPathFactory) -> AugmentedSamples:
    folder = tmp_path_factory.mktemp("on_the_fly")
    write_augmented(replace(RECIPE, copies=0), prepared, folder)
    assert [path.name for path in folder.iterdir()] == ["recipe.json"]
    return AugmentedSamples(folder, prepared)


def test_a_stored_sample_is_the_one_made_when_asked_for(stored: AugmentedSamples, on_the_fly: AugmentedSamples) -> None:
    assert len(stored) == len(on_the_fly) == NUM_TRAIN
    for position in reversed(range(COPIES * NUM_TRAIN)):
        for ours, theirs in zip(stored[position], on_the_fly[position], strict=True):
            assert ours.dtype == theirs.dtype == torch.uint8
            assert torch.equal(ours, theirs)


@pytest.mark.parametrize(("name", "first_byte"), [("images.npy", -100), ("label_maps.npy", -100), ("images.npy", 6)])
def test_damaged_samples_are_named_when_they_are_read(
    prepared: Prepared, tmp_path: Path, name: str, first_byte: int
) -> None:
    write_augmented(RECIPE, prepared, tmp_path / "scenes")
    path = tmp_path / "scenes" / name
    content = bytearray(path.read_bytes())
    content[first_byte] ^= 1
    for spoilt in (content, content[:500]):
        path.write_bytes(spoilt)
        damaged = AugmentedSamples(tmp_path / "scenes", prepared)
        with pytest.raises(InputError, match=r"scenes: damaged \(.*\); run dvc repro -f augment@scenes$"):
            for position in range(COPIES * NUM_TRAIN):
                damaged[position]


def test_a_damaged_recipe_is_named_with_what_makes_it_anew(prepared: Prepared, tmp_path: Path) -> None:
    write_augmented(RECIPE, prepared, tmp_path / "scenes")
    recipe = tmp_path / "scenes/recipe.json"
    recipe.write_bytes(recipe.read_bytes()[:50])
    with pytest.raises(InputError, match=r"scenes: damaged \(.*recipe.json: not valid JSON.*augment@scenes$"):
        AugmentedSamples(tmp_path / "scenes", prepared)


@pytest.mark.parametrize("name", ["images", "label_maps", "checksums"])
def test_samples_that_would_run_something_are_refused(prepared: Prepared, tmp_path: Path, name: str) -> None:
    write_augmented(RECIPE, prepared, tmp_path / "scenes")
    objects = np.array([MakesFolder(tmp_path / "made")], object)
    np.save(tmp_path / "scenes" / f"{name}.npy", objects, allow_pickle=True)
    with pytest.raises(InputError, match=r"scenes: damaged \(.*\); run dvc repro -f augment@scenes$"):
        AugmentedSamples(tmp_path / "scenes", prepared)[0]
    assert not (tmp_path / "made").exists()


def test_samples_reach_other_processes_without_their_numbers(
    stored: AugmentedSamples, on_the_fly: AugmentedSamples
) -> None:
    """Worker processes that are not forked get the dataset pickled."""
    for one in (stored, on_the_fly):
        expected = one[3]
        sent = pickle.dumps(one)
        assert all(map(torch.equal, pickle.loads(sent)[3], expected))
    assert len(pickle.dumps(stored)) < COPIES * NUM_TRAIN * 24 * 32


def test_samples_do_not_depend_on_what_stays_in_memory(prepared: Prepared, monkeypatch: pytest.MonkeyPatch) -> None:
    cached = Stream(RECIPE, prepared)
    monkeypatch.setattr(augmentation, "CACHED_MIB", 0)
    decoded = Stream(RECIPE, prepared)
    for position in (0, 1, NUM_TRAIN, NUM_TRAIN + 1, 0):
        for ours, theirs in zip(cached(position), decoded(position), strict=True):
            np.testing.assert_array_equal(ours, theirs)


def test_samples_are_channels_first_with_a_label_a_pixel(stored: AugmentedSamples) -> None:
    image, label_map = stored[0]
    assert image.shape == (3, 24, 32)
    assert label_map.shape == (24, 32)


def test_stored_samples_repeat_after_their_copies_and_others_never_do(
    stored: AugmentedSamples, on_the_fly: AugmentedSamples
) -> None:
    after = COPIES * NUM_TRAIN
    for position in range(NUM_TRAIN):
        assert torch.equal(stored[after + position][0], stored[position][0])
        assert torch.equal(stored[after + position][1], stored[position][1])
        assert not torch.equal(on_the_fly[after + position][0], on_the_fly[position][0])


def test_a_batch_may_write_into_its_samples_without_changing_the_stream(stored: AugmentedSamples) -> None:
    before = stored[0][0].clone()
    stored[0][0].zero_()
    assert torch.equal(stored[0][0], before)


def test_pixels_are_colours_and_classes_of_the_first_epoch(stored: AugmentedSamples) -> None:
    colors, classes = stored.pixels()
    assert colors.shape == (NUM_TRAIN * 24 * 32, 3)
    for position in range(NUM_TRAIN):
        image, label_map = stored[position]
        own = slice(position * 24 * 32, (position + 1) * 24 * 32)
        np.testing.assert_array_equal(colors[own].reshape(24, 32, 3), image.permute(1, 2, 0).numpy())
        np.testing.assert_array_equal(classes[own].reshape(24, 32), label_map.numpy())


COMMON = np.tile(np.array([900, 100, 0]), (50, 1))
COMMON[7] = COMMON[30] = [900, 90, 10]
"""Pixels of three classes in 50 images, of which two show the last class."""


def epoch_order(epoch: int, *, seed: int = 3, rare_share: float = 0.0) -> list[int]:
    sampler = EpochSampler(COMMON, seed=seed, epochs=8, rare_share=rare_share)
    sampler.set_epoch(epoch)
    positions = list(sampler)
    assert len(sampler) == len(positions) == 50
    return positions


def test_an_epoch_is_a_permutation_of_its_part_of_the_stream() -> None:
    orders = []
    for epoch in range(3):
        positions = epoch_order(epoch)
        assert sorted(positions) == list(range(50 * epoch, 50 * (epoch + 1)))
        assert positions == (50 * epoch + np.random.default_rng([3, epoch]).permutation(50)).tolist()
        orders.append([position % 50 for position in positions])
    assert orders[0] != orders[1] != orders[2] != orders[0]


@pytest.mark.parametrize("rare_share", [0.0, 0.5])
def test_the_order_depends_on_seed_and_epoch_alone(rare_share: float) -> None:
    """A run that continues at epoch 7 sees what one sees that was never stopped."""
    unbroken = EpochSampler(COMMON, seed=3, epochs=8, rare_share=rare_share)
    for epoch in range(8):
        unbroken.set_epoch(epoch)
        order = list(unbroken)
    assert epoch_order(7, rare_share=rare_share) == order == list(unbroken)
    assert epoch_order(7, rare_share=rare_share, seed=4) != order


@pytest.mark.parametrize("rare_share", [0.0, 0.5])
def test_processes_share_an_epoch(rare_share: float, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = epoch_order(2, rare_share=rare_share)
    sampler = EpochSampler(COMMON, seed=3, epochs=8, rare_share=rare_share)
    sampler.set_epoch(2)
    for rank in range(3):
        monkeypatch.setattr(samples, "place_of_process", lambda rank=rank: (rank, 3))
        assert list(sampler) == alone[rank::3][: len(sampler)]
        assert len(sampler) == 16


def test_rarity_by_hand() -> None:
    # Shares of the pixels: 0.97, 0.02, 0.01 and none. Class 1 is in the first image, class 2 in the last two.
    class_pixels = np.array([[94, 6, 0, 0], [99, 0, 1, 0], [98, 0, 2, 0]])
    of_class = np.exp(-np.array([0.97, 0.02, 0.01]) / 0.01)
    of_class /= of_class.sum()
    first = of_class[0] / 3 + of_class[1]
    expected = [first, (1 - first) / 2, (1 - first) / 2]
    np.testing.assert_allclose(rarity(class_pixels), expected, rtol=1e-12)


def test_rare_classes_are_drawn_as_often_as_asked_for() -> None:
    positions = np.concatenate([epoch_order(epoch, rare_share=0.5) for epoch in range(8)])
    of_rare = np.isin(positions % 50, [7, 30]).mean()
    assert 0.45 < of_rare < 0.6  # half of them, and two in fifty of the others
    assert set(positions // 50) == set(range(8))
    everything = np.concatenate([epoch_order(epoch, rare_share=1.0) for epoch in range(8)])
    assert np.isin(everything % 50, [7, 30]).mean() > 0.95
    assert len(set(everything)) == 16  # each of the two in every epoch's version


def test_whole_images_are_scaled_and_their_label_maps_are_not(prepared: Prepared) -> None:
    val = WholeImages(prepared, "val", scale=0.5)
    assert len(val) == 2
    image, label_map = val[1]
    row = prepared.split("val")[1]
    assert (image.shape, image.dtype) == ((3, 24, 32), torch.uint8)
    np.testing.assert_array_equal(label_map.numpy(), prepared.label_map(row))
    blocks = prepared.image(row).reshape(24, 2, 32, 2, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(image.permute(1, 2, 0).numpy().mean(), blocks.mean(), atol=1)


def test_whole_images_at_scale_one_are_the_images(prepared: Prepared) -> None:
    image, _ = WholeImages(prepared, "train", scale=1.0)[0]
    np.testing.assert_array_equal(image.permute(1, 2, 0).numpy(), prepared.image(prepared.split("train")[0]))
