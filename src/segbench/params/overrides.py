"""Which value of `train` counts: the common one, or that of the dataset, the model, or the model on that dataset.

The train stage depends on this module, unlike the rest of `params`, since it decides what a training is told.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from segbench.errors import InputError
from segbench.params.datasets import Dataset
from segbench.params.models import AnyModel
from segbench.params.train import NOT_SEARCHED, Train
from segbench.params.wording import validated


def schedule_of(
    train: Train, *, dataset_name: str, dataset: Dataset, model_name: str, model: AnyModel, path: Path
) -> Train:
    """The common schedule under the values of the dataset, then the model, then the model on that dataset.

    path: what an InputError is said to be in. It is raised for candidates of the search too.
    """
    for where, own in (
        (f"datasets.{dataset_name}.train", dataset.train),
        *_own_values(dataset_name, model_name, model),
    ):
        train = validated(Train, {**train.model_dump(), **own}, where=where, path=path)
    for place, candidate in enumerate(train.search.candidates):
        where = f"train.search.candidates.{place}"
        for name in candidate:
            if name in NOT_SEARCHED:
                raise InputError(f"{path}: {where} has {name}, which is the same for all candidates; leave it out")
        validated(Train, {**train.model_dump(), **candidate}, where=where, path=path)
    found = model.found.get(dataset_name)
    if found is not None and train.search.candidates and found not in train.search.candidates:
        raise InputError(
            f"{path}: models.{model_name}.found.{dataset_name} is {found}; it must be one of the candidates of "
            f"datasets.{dataset_name}.train.search, or left out"
        )
    return train


def with_values(train: Train, values: Mapping[str, Any]) -> Train:
    """The schedule with other values for some fields, which `schedule_of` has checked as candidates of its search."""
    return Train.model_validate({**train.model_dump(), **values})


def own_values(*, dataset_name: str, model: AnyModel) -> dict[str, Any]:
    """The values of `train` that a model does not share with the others on a dataset."""
    return {name: value for _, own in _own_values(dataset_name, "", model) for name, value in own.items()}


def _own_values(dataset_name: str, model_name: str, model: AnyModel) -> Iterator[tuple[str, dict[str, Any]]]:
    """From the weakest to the strongest: where each stands, and the values."""
    yield f"models.{model_name}.train", model.train
    yield f"models.{model_name}.train_on.{dataset_name}", model.train_on.get(dataset_name, {})
