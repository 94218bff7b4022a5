"""The section `augment`."""

from typing import Annotated, Any

from pydantic import Field

from segbench.params.fields import Section, Seed


class Augment(Section):
    """Random transforms of training images, by albumentations' names and arguments, in order."""

    seed: Seed
    transforms: list[Annotated[dict[str, dict[str, Any]], Field(min_length=1, max_length=1)]]
