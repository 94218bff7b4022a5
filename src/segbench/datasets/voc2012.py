"""Pascal VOC 2012: 1,464 train and 1,449 val images, 21 classes; SBD labels more training images.

Everingham et al.: The Pascal visual object classes challenge, 2010. Hariharan et al.: Semantic contours from inverse
detectors, 2011. Pixels on contours have no class. Labels of test are not public: the published val is our test, and
our val is held out of train.
"""

import zlib
from collections.abc import Collection
from functools import partial
from pathlib import Path

from segbench.datasets.download import downloading
from segbench.datasets.source import Example, Source, check_files, read_pair, split_names
from segbench.errors import InputError, about
from segbench.files import project_root
from segbench.images import RGBImage, read_image
from segbench.labels import IGNORE_INDEX, Classes, LabelMap, distinct_colors, from_values

IMAGE_LICENCE = "photographs from Flickr, under its terms of use; name Everingham et al. 2010"
IMAGE_HOME = "http://host.robots.ox.ac.uk/pascal/VOC/voc2012/"
IMAGE_PAPERS = (
    "Everingham, Van Gool, Williams, Winn, Zisserman: The Pascal visual object classes (VOC) challenge. IJCV "
    "88(2), 2010",
    "Hariharan, Arbeláez, Bourdev, Maji, Malik: Semantic contours from inverse detectors. ICCV 2011 (SBD)",
)

NAMES = [
    "background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable",
    "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
]  # fmt: skip
CLASSES = Classes.of(zip(NAMES, [(0, 0, 0), *distinct_colors(len(NAMES) - 1)], strict=True))
CLASS_OF = {value: value for value in [*range(len(NAMES)), IGNORE_INDEX]}


def open_source(root: Path, *, sbd: Path | None) -> Source:
    """Examples of `root`, which holds VOCdevkit/, and of `sbd`, which holds SBD's cls/, train.txt and val.txt.

    Both are downloaded if they are missing. sbd: None leaves SBD's labels out. SBD's labels are used only for images
    that VOC does not label, all for training. Raises InputError if a list is missing, or names a missing file.
    """
    root = project_root() / root
    if not root.exists():
        _download(root)
    voc = root / "VOCdevkit" / "VOC2012"
    lists = voc / "ImageSets" / "Segmentation"
    splits = split_names(train=_read_names(lists / "train.txt"), test=_read_names(lists / "val.txt"))
    labels = {name: voc / "SegmentationClass" / f"{name}.png" for name in splits}
    if sbd is not None:
        labels |= _sbd_labels(project_root() / sbd, without=labels)
        splits = dict.fromkeys(labels, "train") | splits
    images = {name: voc / "JPEGImages" / f"{name}.jpg" for name in labels}
    check_files([*images.values(), *labels.values()], named_by="a list")
    examples = [
        Example(split=split, name=name, group=split, block=name, load=partial(_load, images[name], labels[name]))
        for name, split in splits.items()
    ]
    return Source(classes=CLASSES, ignore_index=IGNORE_INDEX, examples=examples)


def _read_names(listing: Path) -> list[str]:
    if not listing.is_file():
        raise InputError(f"{listing}: no such file; the root holds VOCdevkit/VOC2012, and SBD's own cls/ and train.txt")
    return listing.read_text(encoding="utf-8").split()


def _sbd_labels(root: Path, *, without: Collection[str]) -> dict[str, Path]:
    if not root.exists():
        _download_sbd(root)
    names = [*_read_names(root / "train.txt"), *_read_names(root / "val.txt")]
    return {name: root / "cls" / f"{name}.mat" for name in names if name not in without}


def _load(image_path: Path, label_path: Path) -> tuple[RGBImage, LabelMap]:
    if label_path.suffix == ".png":
        return read_pair(image_path, label_path, CLASS_OF)
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    try:
        values = loadmat(label_path)["GTcls"]["Segmentation"][0, 0]
    except (MatReadError, zlib.error, OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{label_path}: not readable as SBD's labels ({error}); replace the file") from None
    with about(label_path):
        return read_image(image_path), from_values(values, CLASS_OF)


def _download(root: Path) -> None:
    from torchvision.datasets import VOCSegmentation  # takes seconds, since it imports torch

    with downloading(root) as temporary:
        VOCSegmentation(temporary, year="2012", image_set="train", download=True)


def _download_sbd(root: Path) -> None:
    from torchvision.datasets import SBDataset

    with downloading(root) as temporary:
        temporary.mkdir()
        SBDataset(temporary, image_set="train", mode="segmentation", download=True)
