"""The whole of params.yaml, and the only reader of that file."""

import re
from collections.abc import Iterator, Mapping
from itertools import product
from math import isfinite
from pathlib import Path
from typing import Annotated, Any, TypeVar

import yaml
from pydantic import Field, model_validator

from segbench.errors import InputError, raise_listed
from segbench.params.augment import Augment
from segbench.params.backbone import CONTRACTING_PATH, Backbone
from segbench.params.benchmark import Benchmark
from segbench.params.champion import Champion
from segbench.params.compare import Compare
from segbench.params.crf import CRF
from segbench.params.datasets import Dataset
from segbench.params.evaluate import Evaluate
from segbench.params.fields import Name, Section
from segbench.params.models import AnyModel, BackboneModel
from segbench.params.overrides import own_values, schedule_of
from segbench.params.rates import fitted
from segbench.params.train import Train
from segbench.params.variants import Variant, with_whole_variants
from segbench.params.wording import MOST_SHOWN, in_one_line, validated

PARAMS_FILE = Path("params.yaml")
EXPONENT = re.compile(r"[-+]?\d[\d_]*(\.[\d_]*)?[eE][-+]?\d+\Z")
MOST_LEVELS = 50
"""Of sections and lists inside each other. An alias inside its own entry would make endlessly many."""

Entry = TypeVar("Entry")


class Params(Section):
    """The whole of params.yaml."""

    benchmark: Benchmark
    datasets: dict[Name, Dataset]
    backbone: Backbone
    models: dict[Name, Annotated[AnyModel, Field(discriminator="architecture")]]
    variants: dict[Name, Variant]
    augment: Augment
    train: Train
    crf: CRF
    evaluate: Evaluate
    compare: Compare
    champion: Champion

    @model_validator(mode="before")
    @classmethod
    def _variants_are_whole(cls, tree: Any) -> Any:
        return with_whole_variants(tree)

    @model_validator(mode="after")
    def _the_shared_backbone_is_an_encoder(self) -> "Params":
        if self.backbone.name == CONTRACTING_PATH:
            raise ValueError(
                f"backbone.name is {CONTRACTING_PATH}, which is only for a U-Net's own; name a timm encoder"
            )
        return self

    @model_validator(mode="after")
    def _names_are_known(self) -> "Params":
        for kind in ("datasets", "models", "variants"):
            names, known = getattr(self.benchmark, kind), getattr(self, kind)
            for name in names:
                if name not in known:
                    raise ValueError(f"benchmark.{kind} names {name}; it must be one of {', '.join(known)}")
                if names.count(name) > 1:
                    raise ValueError(f"benchmark.{kind} names {name} twice")
        for name in self.benchmark.variants:
            of = self.variants[name].of
            if of not in self.benchmark.models:
                raise ValueError(f"benchmark.variants names {name}, a variant of {of}; benchmark.models must name {of}")
        return self

    @model_validator(mode="after")
    def _models_train_on_datasets(self) -> "Params":
        for name, model in self.models.items():
            for field in ("train_on", "found"):
                for dataset in getattr(model, field):
                    if dataset not in self.datasets:
                        raise ValueError(f"models.{name}.{field} names {dataset}; it must be one of datasets")
        return self

    @model_validator(mode="after")
    def _predictions_are_told_from_models(self) -> "Params":
        for dataset, entry in self.datasets.items():
            for name in entry.predictions:
                if name in self.models or name in self.variants:
                    raise ValueError(f"datasets.{dataset}.predictions.{name} has a model's name; choose another")
        return self

    def dataset(self, name: str) -> Dataset:
        """The entry of `datasets`, or InputError with the known names."""
        return _entry(self.datasets, name, "datasets")

    def model(self, name: str) -> AnyModel:
        """The entry of `models`, or a variant's with all its values, or InputError with the known names of models."""
        if name not in self.models and name in self.variants:
            return self.variants[name].model
        return _entry(self.models, name, "models")

    def model_for(self, dataset_name: str, model_name: str) -> AnyModel:
        """The model as it is built for a dataset, with atrous rates that fit its feature maps."""
        return fitted(self.model(model_name), crop_px=self.dataset(dataset_name).input.crop_px)

    def backbone_for(self, model_name: str) -> Backbone:
        """The model's own backbone, or the shared one."""
        model = self.model(model_name)
        own = model.backbone if isinstance(model, BackboneModel) else None
        return own or self.backbone

    def deviations(self, dataset_name: str, model_name: str) -> dict[str, Any]:
        """What a model does not share with the others: its own values of `train`, its own backbone.

        A value of its own that equals the common one is no deviation.
        """
        model, backbone = self.model(model_name), self.backbone_for(model_name)
        found: dict[str, Any] = {}
        if not isinstance(model, BackboneModel):
            found["backbone"] = "none"
        elif backbone.name != self.backbone.name:
            found["backbone"] = backbone.name
        elif backbone.weights != self.backbone.weights:
            found["backbone_weights"] = backbone.weights
        shared = self._schedule(dataset_name, model_name, model.model_copy(update={"train": {}, "train_on": {}}))
        trained = self._schedule(dataset_name, model_name, model)
        own = own_values(dataset_name=dataset_name, model=model)
        return found | {name: value for name, value in own.items() if getattr(trained, name) != getattr(shared, name)}

    def train_for(self, dataset_name: str, model_name: str, path: Path = PARAMS_FILE) -> Train:
        """The schedule of one model on one dataset. path: what an InputError is said to be in."""
        return self._schedule(dataset_name, model_name, self.model(model_name), path)

    def _schedule(self, dataset_name: str, model_name: str, model: AnyModel, path: Path = PARAMS_FILE) -> Train:
        return schedule_of(
            self.train,
            dataset_name=dataset_name,
            dataset=self.dataset(dataset_name),
            model_name=model_name,
            model=model,
            path=path,
        )


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # the fast one
    """The YAML of PyYAML, but 1e-05 is a number, as it is for DVC, which writes it; 1.0e-05 is a number for both."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """The value of a node. PyYAML raises errors of Python for some texts, such as 2001-13-45, which is no date."""
        try:
            return super().construct_object(node, deep=deep)
        except (ValueError, KeyError, AttributeError):
            what = f"cannot read {str(node.value)[:MOST_SHOWN]}; put quotes around a text"
            raise yaml.constructor.ConstructorError(None, None, what, node.start_mark) from None


_Loader.add_implicit_resolver("tag:yaml.org,2002:float", EXPONENT, list("-+0123456789"))


def load(path: Path = PARAMS_FILE, *, changes: Mapping[str, Any] | None = None) -> Params:
    """Read and validate params.yaml; InputError has one line per mistake: path, value, what is allowed.

    changes: values by dotted path that take the place of the file's.
    """
    tree = _read(path)
    for where, value in (changes or {}).items():
        _change(tree, where, value, path=path)
    raise_listed(
        [
            in_one_line(f"{path}: {where} is {value}; it must be a finite number")
            for where, value in _numbers(tree)
            if not isfinite(value)
        ]
    )
    params = validated(Params, tree, where="", path=path)
    for dataset, (name, model) in product(params.datasets, params.models.items()):
        train = params.train_for(dataset, name, path)
        is_selected = dataset in params.benchmark.datasets and name in params.benchmark.models
        if is_selected and model.pools_the_image and train.batch_size < 2 * train.known_processes:
            raise InputError(
                f"{path}: batch_size is {train.batch_size} for models.{name} on datasets.{dataset}; it must be at "
                f"least {2 * train.known_processes}, since its batch norm would see one value"
            )
    return params


def value_at(where: str, path: Path = PARAMS_FILE) -> Any:
    """What params.yaml has at a dotted path; None if it is not there."""
    node: Any = _read(path)
    for key in where.split("."):
        node = node.get(key) if isinstance(node, dict) else None
    return node


def _read(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
        _check_nesting(text, path)
        tree = yaml.load(text, _Loader)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; run from the project's root") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    except RecursionError:
        raise _too_deep(path) from None
    if not isinstance(tree, dict):
        raise InputError(f"{path}: it must hold sections such as train: and models:")
    _check_levels(tree, path)
    return tree


def _check_nesting(text: str, path: Path) -> None:
    """Raise InputError for more than MOST_LEVELS as written: many more would end the fast loader with the process."""
    level = 0
    for event in yaml.parse(text, _Loader):
        level += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if level > MOST_LEVELS:
            raise _too_deep(path)


def _check_levels(node: Any, path: Path, *, levels: int = MOST_LEVELS) -> None:
    """Raise InputError for more than so many sections and lists inside each other, with aliases followed."""
    if not levels:
        raise _too_deep(path)
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        _check_levels(child, path, levels=levels - 1)


def _too_deep(path: Path) -> InputError:
    return InputError(
        f"{path}: more than {MOST_LEVELS} sections and lists inside each other; is an alias inside its own entry?"
    )


def _change(tree: dict[str, Any], where: str, value: Any, *, path: Path) -> None:
    """Put a value at a dotted path, in sections of its own: YAML's aliases share theirs with other paths."""
    node = tree
    *parents, name = where.split(".")
    for parent in parents:
        section = node.get(parent) or {}
        if not isinstance(section, dict):
            raise InputError(f"{path}: {where}: {parent} is {section}, which has no parameters")
        node[parent] = dict(section)
        node = node[parent]
    node[name] = value


def _numbers(node: Any, where: str = "") -> Iterator[tuple[str, float]]:
    """(dotted path, value) of every float, also of those that no section looks at, as of transforms' arguments."""
    if isinstance(node, float):
        yield where, node
    children = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in children:
        yield from _numbers(value, f"{where}.{key}".lstrip("."))


def _entry(entries: dict[str, Entry], name: str, section: str) -> Entry:
    if name not in entries:
        raise InputError(f"{PARAMS_FILE}: {section}.{name} is not there; known {section}: {', '.join(entries)}")
    return entries[name]
