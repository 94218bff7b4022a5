"""ADE20K of the scene parsing challenge 2016: 20,210 training and 2,000 validation images, 150 classes.

Zhou et al.: Scene parsing through ADE20K dataset, 2017. The files are those of ADEChallengeData2016.zip, from
sceneparsing.csail.mit.edu. Label 0, "other", has no class. The published validation images are our test; our val is
held out of training.
"""

from functools import partial
from pathlib import Path

from segbench.datasets.source import Example, Source, check_files, read_pair, split_names
from segbench.errors import InputError
from segbench.files import project_root
from segbench.labels import IGNORE_INDEX, Classes, distinct_colors

IMAGE_LICENCE = "ADE20K's own terms: images for non-commercial research and education; name Zhou et al. 2017"
IMAGE_HOME = "https://groups.csail.mit.edu/vision/datasets/ADE20K/"
IMAGE_PAPERS = ("Zhou, Zhao, Puig, Fidler, Barriuso, Torralba: Scene parsing through ADE20K dataset. CVPR 2017",)


def open_source(root: Path) -> Source:
    """Examples of `root`, which holds images/, annotations/ and objectInfo150.txt.

    Raises InputError if one of them or an image's label map is missing.
    """
    classes = read_classes(root)
    root = project_root() / root
    class_of = {0: IGNORE_INDEX} | {index + 1: index for index in range(len(classes))}
    train, test = (_images(root / "images" / published) for published in ("training", "validation"))
    images = train | test
    labels = {name: root / "annotations" / image.parent.name / f"{name}.png" for name, image in images.items()}
    check_files(labels.values(), named_by="its image")
    examples = [
        Example(
            split=split,
            name=name,
            group=split,
            block=name,
            load=partial(read_pair, images[name], labels[name], class_of),
        )
        for name, split in split_names(train=list(train), test=list(test)).items()
    ]
    return Source(classes=classes, ignore_index=IGNORE_INDEX, examples=examples)


def _images(folder: Path) -> dict[str, Path]:
    images = {path.stem: path for path in sorted(folder.glob("*.jpg"))}
    if not images:
        raise InputError(f"{folder}: no images; the root is the unpacked ADEChallengeData2016")
    return images


def read_classes(root: Path) -> Classes:
    """The first of the names in each line of objectInfo150.txt. Raises InputError if it is missing or another table."""
    import pandas as pd  # takes half a second

    path = project_root() / root / "objectInfo150.txt"
    try:
        synonyms = pd.read_csv(path, sep="\t", usecols=["Name"], dtype=str, keep_default_na=False)["Name"]
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; it comes in ADEChallengeData2016.zip, which is the root") from None
    except ValueError:  # pandas' errors are ValueErrors
        raise InputError(f"{path}: no column Name; it must be the archive's table, with tabs between columns") from None
    names = synonyms.str.split(",").str[0].str.strip()
    return Classes.of(zip(names, distinct_colors(len(names)), strict=True))
