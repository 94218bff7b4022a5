"""The section `augment`."""

from typing import Annotated, Any

from pydantic import Field, field_validator

from segbench.params.fields import Section, Seed

MIXING = {"Morphological": "it moves the boundaries in label maps by the classes' numbers"}
"""Transforms that would make wrong labels, and why."""


class Augment(Section):
    """Random transforms of training images, by albumentations' names and arguments, in order."""

    seed: Seed
    transforms: list[Annotated[dict[str, dict[str, Any]], Field(min_length=1, max_length=1)]]

    @field_validator("transforms")
    @classmethod
    def _keep_labels(cls, transforms: list[dict[str, dict[str, Any]]]) -> list[dict[str, dict[str, Any]]]:
        for transform in transforms:
            for name in transform:
                if name in MIXING:
                    raise ValueError(f"{name} cannot be used: {MIXING[name]}; remove it")
        return transforms
