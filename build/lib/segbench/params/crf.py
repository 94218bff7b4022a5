"""The section `crf`."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from segbench.params.fields import Count, Range, Section, Seed, ascending


class CRF(Section):
    """The search for the dense CRF's parameters: the range of each, and how candidates are judged.

    Sigmas of positions are fractions of the image diagonal, so that they transfer between resolutions.
    """

    trials: Count
    tuning_images: Count
    seed: Seed
    objective: Literal["mean_iou", "pixel_accuracy", "mean_dice"]
    appearance_weight: Range
    appearance_sigma_xy: Range
    appearance_sigma_rgb: Range
    smoothness_weight: Range
    smoothness_sigma_xy: Range
    steps: Annotated[list[Count], Field(min_length=1), AfterValidator(ascending)]
