"""Where the images of a dataset come from: the `source` of an entry of `datasets`, one class for each kind.

A new source is a class here, a module in `segbench.datasets`, and an entry in params.yaml.
"""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from segbench.params.fields import Count, Part, ReachablePath, Section, Seed


class SourceSection(Section):
    """What all sources share.

    module: where `open_source` takes the section's own fields and returns a Source. The module has its classes as
    CLASSES, or, where a file of the dataset names them, a function `read_classes`.
    """

    module: ClassVar[str]

    def arguments(self) -> dict[str, Any]:
        """What `open_source` takes."""
        return {name: getattr(self, name) for name in type(self).model_fields if name != "kind"}

    def class_arguments(self) -> dict[str, Any]:
        """What `read_classes` takes, if the module has one."""
        return {"root": self.arguments()["root"]}


class ScenesSource(SourceSection):
    """Drawn street and water scenes: no download, byte-identical for a seed."""

    module: ClassVar[str] = "segbench.datasets.scenes"
    kind: Literal["scenes"]
    seed: Seed
    width_px: Annotated[int, Field(ge=32, le=4096)]
    height_px: Annotated[int, Field(ge=32, le=4096)]
    num_train: Count
    num_val: Count
    num_test: Count


class CamvidSource(SourceSection):
    """CamVid in the SegNet split, or in one by videos; downloaded to `root` if that folder is missing."""

    module: ClassVar[str] = "segbench.datasets.camvid"
    kind: Literal["camvid"]
    root: ReachablePath
    split: Literal["published", "disjoint"]


class FoldersSplit(Section):
    """Folders train, val and test in images/ and masks/."""

    by: Literal["folders"]


class ListsSplit(Section):
    """Names in train.txt, val.txt and test.txt, one per line."""

    by: Literal["lists"]


class RatioSplit(Section):
    """Shares of all images, dealt at random; whole groups where there are groups."""

    by: Literal["ratio"]
    val: Part
    test: Part
    seed: Seed

    @model_validator(mode="after")
    def _train_gets_some(self) -> "RatioSplit":
        if self.val + self.test >= 1:
            raise ValueError(f"val and test are {self.val} and {self.test}; their sum must be less than 1")
        return self


def _has_name(pattern: str) -> str:
    if pattern.count("{name}") != 1 or "/" in pattern:
        raise PydanticCustomError("pattern", "Input should be a text with {name} in it once, and without a slash")
    return pattern


NamePattern = Annotated[str, AfterValidator(_has_name)]
"""How a file is called, without its suffix."""


class FolderSource(SourceSection):
    """Your own images and masks; datasets/folder.py describes the files.

    groups: a CSV file in `root`. image_names, mask_names: how files are called, without suffix, for the image {name}.
    mask_tolerance: levels by which a mask's pixel may differ from the nearest class. masks_drawn_on: the photo as it is
    seen or as it is stored, where EXIF data turn it and nothing else tells.
    """

    module: ClassVar[str] = "segbench.datasets.folder"
    kind: Literal["folder"]
    root: ReachablePath
    bits: Annotated[int, Field(ge=8, le=16, strict=True)]
    groups: ReachablePath | None
    image_names: NamePattern
    mask_names: NamePattern
    mask_tolerance: Annotated[int, Field(ge=0, le=65535, strict=True)]
    masks_drawn_on: Literal["upright", "stored"] | None
    split: Annotated[FoldersSplit | ListsSplit | RatioSplit, Field(discriminator="by")]


class VOC2012Source(SourceSection):
    """Pascal VOC 2012, with SBD's labels unless that folder is null; both are downloaded if they are missing."""

    module: ClassVar[str] = "segbench.datasets.voc2012"
    kind: Literal["voc2012"]
    root: ReachablePath
    sbd: ReachablePath | None


class CityscapesSource(SourceSection):
    """Cityscapes' leftImg8bit and gtFine."""

    module: ClassVar[str] = "segbench.datasets.cityscapes"
    kind: Literal["cityscapes"]
    root: ReachablePath


class OxfordPetSource(SourceSection):
    """Oxford-IIIT Pet; downloaded to `root` if that folder is missing."""

    module: ClassVar[str] = "segbench.datasets.oxford_pet"
    kind: Literal["oxford_pet"]
    root: ReachablePath


class ADE20KSource(SourceSection):
    """The unpacked ADEChallengeData2016."""

    module: ClassVar[str] = "segbench.datasets.ade20k"
    kind: Literal["ade20k"]
    root: ReachablePath


class COCOSource(SourceSection):
    """COCO 2017's images and one of its two kinds of dense labels, each with classes of its own."""

    module: ClassVar[str] = "segbench.datasets.coco"
    kind: Literal["coco"]
    root: ReachablePath
    labels: Literal["panoptic", "stuff"]

    def class_arguments(self) -> dict[str, Any]:
        """What `read_classes` takes."""
        return {"root": self.root, "labels": self.labels}


AnySource = (
    ScenesSource
    | CamvidSource
    | FolderSource
    | VOC2012Source
    | CityscapesSource
    | OxfordPetSource
    | ADE20KSource
    | COCOSource
)
