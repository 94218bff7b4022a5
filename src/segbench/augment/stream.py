"""The augmented samples that every network sees: one endless stream, the first epochs of which may be stored.

Sample `epoch * num_images + index` is made from training image `index`. It depends on the recipe and on its position in
the stream, but not on the model, the number of workers or a restart.
"""

import zlib
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.lib.format import open_memmap
from tqdm import tqdm

from segbench.augment.transforms import Augmentation, Transform
from segbench.datasets.prepared import Prepared
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
    arrays if copies is 0.
    """
    stream = Stream(recipe, prepared)
    folder.mkdir(parents=True, exist_ok=True)
    content = {**asdict(recipe), "albumentations": stream.augmentation.serialised()}
    write_json(folder / "recipe.json", content)
    if not recipe.copies:
        return
    num_images = len(prepared.split("train"))
    shape = (recipe.copies * num_images, *recipe.crop_px)
    images = open_memmap(folder / "images.npy", mode="w+", dtype=np.uint8, shape=(*shape, 3))
    label_maps = open_memmap(folder / "label_maps.npy", mode="w+", dtype=np.uint8, shape=shape)
    checksums = np.empty(shape[0], np.uint32)
    for position in tqdm(range(shape[0]), desc="augment", unit="sample", disable=None):
        images[position], label_maps[position] = image, label_map = stream(position)
        checksums[position] = sample_checksum(image, label_map)
    np.save(folder / "checksums.npy", checksums)


def sample_checksum(image: RGBImage, label_map: LabelMap) -> int:
    """CRC-32 of a sample's pixels and labels."""
    return zlib.crc32(np.ascontiguousarray(label_map).data, zlib.crc32(np.ascontiguousarray(image).data))


def read_recipe(folder: Path) -> Recipe:
    """The recipe that `write_augmented` wrote."""
    content = read_json(folder / "recipe.json")
    content.pop("albumentations")
    return Recipe(**{**content, "crop_px": tuple(content["crop_px"])})
