"""Oxford-IIIT Pet: photographs of 37 breeds of cats and dogs, with the classes pet and background.

Parkhi et al.: Cats and dogs, 2012. Licence CC BY-SA 4.0. The trimap's third value, "not classified", has no class. A
group is a species. The published test split is our test; our val is held out of trainval.
"""

from functools import partial
from pathlib import Path

from segbench.datasets.download import downloading
from segbench.datasets.source import Example, Source, check_files, read_pair, split_names
from segbench.errors import InputError
from segbench.files import project_root
from segbench.labels import IGNORE_INDEX, Classes

IMAGE_LICENCE = "CC BY-SA 4.0; name Parkhi et al. 2012"
IMAGE_HOME = "https://www.robots.ox.ac.uk/~vgg/data/pets/"
IMAGE_PAPERS = ("Parkhi, Vedaldi, Zisserman, Jawahar: Cats and dogs. CVPR 2012",)

CLASSES = Classes.of([("pet", (230, 130, 40)), ("background", (60, 110, 160))])
SPECIES = {"1": "cat", "2": "dog"}
CLASS_OF = {1: 0, 2: 1, 3: IGNORE_INDEX}


def open_source(root: Path) -> Source:
    """Examples of `root`, which holds oxford-iiit-pet/ and is downloaded if it is missing.

    Raises InputError if a list names a file that is not there.
    """
    root = project_root() / root
    if not root.exists():
        _download(root)
    pets = root / "oxford-iiit-pet"
    annotations = pets / "annotations"
    train, test = (_species(annotations / f"{published}.txt") for published in ("trainval", "test"))
    splits, species = split_names(train=list(train), test=list(test)), train | test
    images = {name: pets / "images" / f"{name}.jpg" for name in splits}
    trimaps = {name: annotations / "trimaps" / f"{name}.png" for name in splits}
    check_files([*images.values(), *trimaps.values()], named_by="a list")
    examples = [
        Example(
            split=split,
            name=name,
            group=species[name],
            block=name,
            load=partial(read_pair, images[name], trimaps[name], CLASS_OF),
        )
        for name, split in splits.items()
    ]
    return Source(classes=CLASSES, ignore_index=IGNORE_INDEX, examples=examples)


def _species(listing: Path) -> dict[str, str]:
    """The species by image name, from lines such as `Abyssinian_100 1 1 1`: name, breed, species, breed in it."""
    if not listing.is_file():
        raise InputError(f"{listing}: no such file; the root holds oxford-iiit-pet with images and annotations")
    rows = [
        line.split() for line in listing.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")
    ]
    return {name: SPECIES[species] for name, _, species, _ in rows}


def _download(root: Path) -> None:
    from torchvision.datasets import OxfordIIITPet  # takes seconds, since it imports torch

    with downloading(root) as temporary:
        OxfordIIITPet(temporary, target_types="segmentation", download=True)
