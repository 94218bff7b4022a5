"""Cityscapes, finely annotated: 2,975 train and 500 val frames of 21 cities, 2048x1024 px, 19 classes.

Cordts et al.: The Cityscapes dataset for semantic urban scene understanding, 2016. It needs a registration, so it is
not downloaded. A group is a city. Labels of test are not public: the published val is our test, and our val is all
frames of three training cities.
"""

from functools import partial
from pathlib import Path

from segbench.datasets.source import Example, Source, check_files, read_pair
from segbench.errors import InputError
from segbench.files import project_root
from segbench.labels import IGNORE_INDEX, Classes

IMAGE_LICENCE = "Cityscapes' own terms: not for commercial use; name Cordts et al. 2016"
IMAGE_HOME = "https://www.cityscapes-dataset.com/"
IMAGE_PAPERS = (
    "Cordts, Omran, Ramos, Rehfeld, Enzweiler, Benenson, Franke, Roth, Schiele: The Cityscapes dataset for "
    "semantic urban scene understanding. CVPR 2016",
)

VAL_CITIES = ("bochum", "krefeld", "ulm")
"""Training cities of medium size, which together have about a tenth of the frames."""
TABLE = [  # id in labelIds.png, name and colour of each class, in the order of train ids
    (7, "road", (128, 64, 128)), (8, "sidewalk", (244, 35, 232)), (11, "building", (70, 70, 70)),
    (12, "wall", (102, 102, 156)), (13, "fence", (190, 153, 153)), (17, "pole", (153, 153, 153)),
    (19, "traffic light", (250, 170, 30)), (20, "traffic sign", (220, 220, 0)), (21, "vegetation", (107, 142, 35)),
    (22, "terrain", (152, 251, 152)), (23, "sky", (70, 130, 180)), (24, "person", (220, 20, 60)),
    (25, "rider", (255, 0, 0)), (26, "car", (0, 0, 142)), (27, "truck", (0, 0, 70)), (28, "bus", (0, 60, 100)),
    (31, "train", (0, 80, 100)), (32, "motorcycle", (0, 0, 230)), (33, "bicycle", (119, 11, 32)),
]  # fmt: skip
CLASSES = Classes.of((name, color) for _, name, color in TABLE)
CLASS_OF = dict.fromkeys(range(34), IGNORE_INDEX) | {label_id: index for index, (label_id, _, _) in enumerate(TABLE)}
IMAGE_SUFFIX, LABEL_SUFFIX = "_leftImg8bit.png", "_gtFine_labelIds.png"


def open_source(root: Path) -> Source:
    """Examples of `root`, which holds leftImg8bit/ and gtFine/.

    Raises InputError if a folder has no images or an image has no label map.
    """
    root = project_root() / root
    examples = [example for published in ("train", "val") for example in _examples(root, published)]
    return Source(classes=CLASSES, ignore_index=IGNORE_INDEX, examples=examples)


def _examples(root: Path, published: str) -> list[Example]:
    images = sorted((root / "leftImg8bit" / published).glob(f"*/*{IMAGE_SUFFIX}"))
    if not images:
        raise InputError(f"{root}/leftImg8bit/{published}: no images; the root holds leftImg8bit and gtFine, unpacked")
    names = [image.name.removesuffix(IMAGE_SUFFIX) for image in images]
    cities = [image.parent.name for image in images]
    labels = [
        root / "gtFine" / published / city / f"{name}{LABEL_SUFFIX}" for city, name in zip(cities, names, strict=True)
    ]
    check_files(labels, named_by="its image")
    return [
        Example(
            split="test" if published == "val" else "val" if city in VAL_CITIES else "train",
            name=name,
            group=city,
            block=name,
            load=partial(read_pair, image, label, CLASS_OF),
        )
        for name, city, image, label in zip(names, cities, images, labels, strict=True)
    ]
