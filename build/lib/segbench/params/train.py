"""The section `train`."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from segbench.params.fields import Count, CountOrZero, NotNegative, Number, Positive, Section, Seed, Share, distinct

LossName = Literal["cross_entropy", "dice", "focal"]


def _devices(value: Any) -> Any:
    if value == "auto" or (isinstance(value, int) and not isinstance(value, bool) and value >= 1):
        return value
    raise PydanticCustomError("devices", "Input should be auto or a whole number of at least 1")


class Search(Section):
    """Changes of the schedule that every network tries, for so many epochs each; no candidates: no search."""

    epochs: Count
    candidates: list[dict[str, Any]]


NOT_SEARCHED = {
    "epochs", "seeds", "search", "checkpoint", "accelerator", "devices", "nodes", "strategy", "loader_workers",
}  # fmt: skip
"""Fields of `train` that a candidate may not change: the budget itself, and what is the same for all."""


class Train(Section):
    """The schedule that all networks share."""

    epochs: Count
    seeds: Annotated[list[Seed], Field(min_length=1), AfterValidator(distinct)]
    search: Search
    batch_size: Count
    optimizer: Literal["adamw", "sgd"]
    lr: Positive
    backbone_lr_factor: NotNegative
    momentum: Share
    weight_decay: NotNegative
    warmup_epochs: NotNegative
    poly_power: Positive
    gradient_clip_norm: Positive | None
    loss: Annotated[dict[LossName, Positive], Field(min_length=1)]
    class_weights: Literal["none", "inverse_frequency", "median_frequency"]
    rare_class_sampling: Annotated[Number, Field(ge=0, le=1)]
    precision: Literal["auto", "float32", "bfloat16", "float16"]
    checkpoint: Literal["last", "best"]
    validate_every_epochs: Count
    loader_workers: CountOrZero
    accelerator: Literal["auto", "cpu", "gpu", "mps", "tpu"]
    devices: Annotated[int | str, BeforeValidator(_devices)]
    nodes: Count
    strategy: Literal["auto", "ddp", "ddp_find_unused_parameters_true"]

    @property
    def known_processes(self) -> int:
        """How many share a batch, as far as the file alone tells: `auto` counts as one device."""
        return self.nodes * (self.devices if isinstance(self.devices, int) else 1)

    @model_validator(mode="after")
    def _batch_can_be_divided(self) -> "Train":
        if self.batch_size % self.known_processes:
            raise ValueError(
                f"batch_size is {self.batch_size}; it is divided among {self.known_processes} devices, so it must be a "
                f"multiple of {self.known_processes}"
            )
        return self
