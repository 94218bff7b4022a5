"""The section `datasets`: one entry for each dataset."""

from typing import Annotated, Any

from pydantic import AfterValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from segbench.params.fields import CountOrZero, Folder, Name, Number, Section, Side, distinct
from segbench.params.sources import AnySource, ScenesSource

LARGEST_STRIDE = 32
"""Of networks' feature maps; tiles start at multiples of it."""


def _whole_strides(tile_px: int) -> int:
    if tile_px % LARGEST_STRIDE:
        raise PydanticCustomError("tile", "Input should be a multiple of {of}, or null", {"of": LARGEST_STRIDE})
    return tile_px


class Views(Section):
    """Test-time augmentation: the views of a test image whose probabilities are averaged. Scales are beside `scale`."""

    flip: bool
    scales: Annotated[list[Annotated[Number, Field(ge=0.25, le=4)]], Field(min_length=1), AfterValidator(distinct)]

    @property
    def are_several(self) -> bool:
        """Whether they are more than the image as it is."""
        return self.flip or self.scales != [1]


class ModelInput(Section):
    """What a network sees: images resized by `scale`, training samples cut to `crop_px` (height, width).

    tile_px: the side of tiles, after scaling, by which images are predicted; None: whole images, unless they are large.
    """

    scale: Annotated[Number, Field(ge=0.05, le=4)]
    crop_px: Annotated[list[Side], Field(min_length=2, max_length=2)]
    tile_px: Annotated[int, Field(ge=64, strict=True), AfterValidator(_whole_strides)] | None
    test_time: Views


class Claims(Section):
    """The classes by which claims about detail and about context are judged."""

    thin_classes: list[str]
    context_classes: list[str]


def _of_test(name: str) -> str:
    if not name.removeprefix("test/") or not name.startswith("test/"):
        raise PydanticCustomError("test_image", "Input should be test/NAME: only test images can be left out")
    return name


class Dataset(Section):
    """A dataset and the few choices that depend on its images' size and number, its own values of `train` too.

    predictions: folders of label maps that other programs predicted, by name. leave_out: test images that scores leave
    out, as `test/NAME`.
    """

    source: Annotated[AnySource, Field(discriminator="kind")]
    input: ModelInput
    copies: CountOrZero
    train: dict[str, Any]
    claims: Claims
    predictions: dict[Name, Folder]
    leave_out: Annotated[list[Annotated[str, AfterValidator(_of_test)]], AfterValidator(distinct)]

    @model_validator(mode="after")
    def _crop_fits(self) -> "Dataset":
        if isinstance(self.source, ScenesSource):
            height, width = (round(size * self.input.scale) for size in (self.source.height_px, self.source.width_px))
            if self.input.crop_px[0] > height or self.input.crop_px[1] > width:
                raise ValueError(
                    f"input.crop_px is {self.input.crop_px}; it must be at most [{height}, {width}], the scaled image"
                )
        return self
