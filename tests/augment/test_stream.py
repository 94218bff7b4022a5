"""The stream of augmented samples: its recipe comes back from disk as written, and its seed changes the samples."""

import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from segbench.augment.stream import Recipe, Stream, read_recipe, write_augmented
from segbench.augment.transforms import Transform
from segbench.datasets import scenes
from segbench.datasets.preparation import prepare
from segbench.datasets.prepared import Prepared
from segbench.errors import InputError

EVERYDAY: list[Transform] = [
    {"RandomScale": {"scale_limit": [-0.25, 0.5], "p": 1.0}},
    {"HorizontalFlip": {"p": 0.5}},
    {"ColorJitter": {"p": 1.0}},
]
RNG = np.random.default_rng(0)
IMAGE = RNG.integers(0, 256, (40, 50, 3), np.uint8)
LABEL_MAP = RNG.integers(0, 9, (40, 50), np.uint8)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    source = scenes.open_source(seed=0, width_px=48, height_px=40, num_train=3, num_val=1, num_test=1)
    return prepare(source, tmp_path_factory.mktemp("data") / "prepared")


def test_each_transform_alone_is_always_applied_and_cropped_at_the_centre() -> None:
    transforms: list[Transform] = [{"HorizontalFlip": {"p": 0.01}}, {"VerticalFlip": {}}]
    recipe = Recipe(seed=0, copies=0, scale=1.0, crop_px=(20, 30), transforms=transforms)
    image, label_map = recipe.original()(IMAGE, LABEL_MAP, seed=0)
    np.testing.assert_array_equal(label_map, LABEL_MAP[10:30, 10:40])
    ((first, mirrored), (second, upturned)) = recipe.each_alone()
    assert (first, second) == ("HorizontalFlip", "VerticalFlip")
    np.testing.assert_array_equal(mirrored(IMAGE, LABEL_MAP, seed=0)[0], image[:, ::-1])
    np.testing.assert_array_equal(upturned(IMAGE, LABEL_MAP, seed=0)[1], label_map[::-1])


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


NO_ROOM = (
    r"scenes: the stored samples need 3 MiB, but the disk has [0-9]+ MiB free; free some, or set "
    r"datasets\.scenes\.copies in params\.yaml: 0 stores none, and makes the same samples during training$"
)
BIG = Recipe(seed=1, copies=2, scale=4.0, crop_px=(300, 400), transforms=[])


def test_samples_for_which_the_disk_has_no_room_are_refused_before_any_is_written(
    tmp_path: Path, prepared: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    needed_bytes = 2 * 3 * 300 * 400 * 4 + 2 * 3 * 4
    for free_bytes in (0, needed_bytes - 1, needed_bytes):
        monkeypatch.setattr("shutil.disk_usage", lambda path, free=free_bytes: SimpleNamespace(free=free))
        if free_bytes < needed_bytes:
            with pytest.raises(InputError, match=NO_ROOM):
                write_augmented(BIG, prepared, tmp_path / "scenes")
            assert [path.name for path in (tmp_path / "scenes").iterdir()] == ["recipe.json"]
        else:
            write_augmented(BIG, prepared, tmp_path / "scenes")
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=0))
    write_augmented(replace(BIG, copies=0), prepared, tmp_path / "scenes")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
@pytest.mark.parametrize("name", ["images", "label_maps", "checksums"])
def test_a_disk_that_others_fill_meanwhile_is_one_line(tmp_path: Path, prepared: Prepared, name: str) -> None:
    """A memory map would end the process by SIGBUS."""
    (tmp_path / "scenes").mkdir()
    (tmp_path / "scenes" / f"{name}.npy").symlink_to("/dev/full")
    with pytest.raises(InputError, match=NO_ROOM):
        write_augmented(BIG, prepared, tmp_path / "scenes")
    assert [path.name for path in (tmp_path / "scenes").iterdir()] == ["recipe.json"]


def test_the_seed_of_a_recipe_changes_its_samples(prepared: Prepared) -> None:
    def first_samples(seed: int) -> set[bytes]:
        recipe = Recipe(seed=seed, copies=0, scale=1.0, crop_px=(16, 24), transforms=EVERYDAY)
        return {image.tobytes() for image, _ in map(Stream(recipe, prepared), range(6))}

    assert first_samples(0) == first_samples(0)
    assert not first_samples(0) & first_samples(1)
