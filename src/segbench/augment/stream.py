"""The augmented samples that every network sees: one endless stream, the first epochs of which may be stored.

Sample `epoch * num_images + index` is made from training image `index`. It depends on the recipe and on its position in
the stream, but not on the model, the number of workers or a restart.
"""

import errno
import shutil
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from math import prod
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.lib.format import write_array_header_1_0
from tqdm import tqdm

from segbench.augment.transforms import Augmentation, Transform
from segbench.datasets.prepared import Prepared
from segbench.errors import InputError
from segbench.files import read_json, write_json
from segbench.images import RGBImage
from segbench.labels import LabelMap

CACHED_MIB = 512


@dataclass(frozen=True)
class Recipe:
    """All that the stream depends on besides the training images. copies: number of epochs that are stored."""

    seed: int
    copies: int
    scale: float
    crop_px: tuple[int, int]
    transforms: list[Transform]

    def augmentation(self) -> Augmentation:
        """The augmentation by this recipe. Raises InputError as Augmentation does."""
        return Augmentation(self.transforms, scale=self.scale, crop_px=self.crop_px)

    def each_alone(self) -> list[tuple[str, Augmentation]]:
        """Each transform's name, with an augmentation by it alone: always applied, cropped at the centre."""
        return [
            (name, self._centered([{name: {**arguments, "p": 1.0}}]))
            for transform in self.transforms
            for name, arguments in transform.items()
        ]

    def original(self) -> Augmentation:
        """An augmentation without transforms, cropped at the centre."""
        return self._centered([])

    def _centered(self, transforms: list[Transform]) -> Augmentation:
        return Augmentation(transforms, scale=self.scale, crop_px=self.crop_px, position="center")


class Stream:
    """The samples of a recipe, each computed on demand.

    Scaled images stay in memory, up to CACHED_MIB, so that a dataset that fits is decoded only once.
    """

    def __init__(self, recipe: Recipe, prepared: Prepared) -> None:
        self.seed = recipe.seed
        self.augmentation = recipe.augmentation()
        self.prepared = prepared
        self._scaled: dict[int, tuple[RGBImage, LabelMap]] = {}
        self._free_bytes = CACHED_MIB * 2**20

    def __call__(self, position: int) -> tuple[RGBImage, LabelMap]:
        """The sample at a position: (crop height, crop width, 3) and (crop height, crop width)."""
        image, label_map = self._scaled_pair(position % len(self.prepared.split("train")))
        seed = int(np.random.SeedSequence([self.seed, position]).generate_state(1)[0])
        return self.augmentation.transform(image, label_map, seed=seed)

    def _scaled_pair(self, index: int) -> tuple[RGBImage, LabelMap]:
        if index in self._scaled:
            return self._scaled[index]
        row = self.prepared.split("train")[index]
        pair = self.augmentation.scaled(self.prepared.image(row), self.prepared.label_map(row))
        self._free_bytes -= sum(array.nbytes for array in pair)
        if self._free_bytes >= 0:
            self._scaled[index] = pair
            for array in pair:
                array.setflags(write=False)  # later samples start from the same arrays
        return pair


def write_augmented(recipe: Recipe, prepared: Prepared, folder: Path) -> None:
    """Write the recipe, and the stream's first `copies` epochs as arrays that need no decoding.

    recipe.json: the recipe; images.npy: (copies * num_images, crop height, crop width, 3) uint8; label_maps.npy:
    (copies * num_images, crop height, crop width) uint8; checksums.npy: (copies * num_images,) uint32. There are no
    arrays if copies is 0. Raises InputError if the disk has no room for them, before any is written.
    """
    stream = Stream(recipe, prepared)
    folder.mkdir(parents=True, exist_ok=True)
    content = {**asdict(recipe), "albumentations": stream.augmentation.serialised()}
    write_json(folder / "recipe.json", content)
    if not recipe.copies:
        return
    num_images = len(prepared.split("train"))
    shape = (recipe.copies * num_images, *recipe.crop_px)
    checksums = np.empty(shape[0], np.uint32)
    with _room_for(prod(shape) * (3 + 1) + checksums.nbytes, folder):
        # Not through memory maps: on a full disk, the system kills the process that writes to one.
        with (folder / "images.npy").open("wb") as images, (folder / "label_maps.npy").open("wb") as label_maps:
            _write_header(images, (*shape, 3))
            _write_header(label_maps, shape)
            for position in tqdm(range(shape[0]), desc="augment", unit="sample", disable=None):
                image, label_map = stream(position)
                images.write(np.ascontiguousarray(image).data)
                label_maps.write(np.ascontiguousarray(label_map).data)
                checksums[position] = sample_checksum(image, label_map)
        np.save(folder / "checksums.npy", checksums)


def _write_header(file: BinaryIO, shape: tuple[int, ...]) -> None:
    """The start of an .npy file of bytes."""
    write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})


@contextmanager
def _room_for(needed_bytes: int, folder: Path) -> Iterator[None]:
    """Refuse with InputError if the folder's disk has no room, or has none any more while the block writes arrays."""

    def refusal() -> InputError:
        return InputError(
            f"{folder}: the stored samples need {needed_bytes / 2**20:.0f} MiB, but the disk has "
            f"{shutil.disk_usage(folder).free / 2**20:.0f} MiB free; free some, or set datasets.{folder.name}.copies "
            "in params.yaml: 0 stores none, and makes the same samples during training"
        )

    if shutil.disk_usage(folder).free < needed_bytes:
        raise refusal()
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        for array in folder.glob("*.npy"):  # other programs need the disk too
            array.unlink()
        raise refusal() from None


def sample_checksum(image: RGBImage, label_map: LabelMap) -> int:
    """CRC-32 of a sample's pixels and labels."""
    return zlib.crc32(np.ascontiguousarray(label_map).data, zlib.crc32(np.ascontiguousarray(image).data))


def read_recipe(folder: Path) -> Recipe:
    """The recipe that `write_augmented` wrote. InputError if it is missing or damaged."""
    try:
        content = read_json(folder / "recipe.json")
    except InputError as error:
        raise damaged(folder, str(error)) from None
    content.pop("albumentations")
    return Recipe(**{**content, "crop_px": tuple(content["crop_px"])})


def damaged(folder: Path, why: str) -> InputError:
    """Of what the augment stage wrote: says what makes it anew."""
    return InputError(f"{folder}: damaged ({why}); run dvc repro -f augment@{folder.name}")
