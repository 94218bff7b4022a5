"""params.yaml -> typed, validated values. The only reader of that file.

No value has a default here: every one stands in params.yaml, where DVC sees it change.
"""

import re
from itertools import pairwise, product
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from segbench.errors import InputError
from segbench.files import project_root

PARAMS_FILE = Path("params.yaml")


def _odd(value: int) -> int:
    if value % 2 == 0:
        raise PydanticCustomError("odd", "Input should be an odd number")
    return value


def _no_bool(value: Any) -> Any:
    if isinstance(value, bool):  # pydantic would take yes and no for 1 and 0
        raise PydanticCustomError("float_type", "Input should be a valid number")
    return value


def _existing_folder(value: Path) -> Path:
    if not (project_root() / value).is_dir():
        raise PydanticCustomError("folder", "Input should be an existing folder")
    return value


def _distinct(values: list[Any]) -> list[Any]:
    if len(set(values)) < len(values):
        raise PydanticCustomError("distinct", "Input should be a list in which each stands once")
    return values


Number = Annotated[float, BeforeValidator(_no_bool)]
Positive = Annotated[Number, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[Number, Field(ge=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1, strict=True)]
CountOrZero = Annotated[int, Field(ge=0, strict=True)]
Seed = Annotated[int, Field(ge=0, lt=2**31, strict=True)]
Odd = Annotated[Count, AfterValidator(_odd)]
Side = Annotated[int, Field(ge=16, strict=True)]
Share = Annotated[Number, Field(ge=0, lt=1)]
Part = Annotated[Number, Field(gt=0, lt=1)]
Rates = Annotated[list[Count], Field(min_length=1)]
OutputStride = Literal[8, 16, 32]
LossName = Literal["cross_entropy", "dice", "focal"]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_]*$")]


CONTRACTING_PATH = "contracting_path"
"""The backbone's name for U-Net's own, which is no encoder of timm."""

Entry = TypeVar("Entry")
AnySection = TypeVar("AnySection", bound="Section")


class Section(BaseModel):
    """A section of params.yaml: unknown keys are refused, values never change after reading."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _keys_are_known(cls, data: Any) -> Any:
        unknown = [key for key in data if key not in cls.model_fields] if isinstance(data, dict) else []
        if unknown:
            known = ", ".join(cls.model_fields)
            raise PydanticCustomError("unknown_key", "{key}\n{known}", {"key": str(unknown[0]), "known": known})
        return data


class Benchmark(Section):
    """What `dvc repro` runs: names of entries of `datasets` and `models`."""

    datasets: Annotated[list[Name], Field(min_length=1)]
    models: Annotated[list[Name], Field(min_length=1)]


class ScenesSource(Section):
    """Drawn street and water scenes: no download, byte-identical for a seed."""

    kind: Literal["scenes"]
    seed: Seed
    width_px: Annotated[int, Field(ge=32, le=4096)]
    height_px: Annotated[int, Field(ge=32, le=4096)]
    num_train: Count
    num_val: Count
    num_test: Count


class CamvidSource(Section):
    """CamVid in the SegNet split, or in one by videos; downloaded to `root` if that folder is missing."""

    kind: Literal["camvid"]
    root: Path
    split: Literal["published", "disjoint"]


class FoldersSplit(Section):
    """Folders train, val and test in images/ and masks/."""

    by: Literal["folders"]


class ListsSplit(Section):
    """Names in train.txt, val.txt and test.txt, one a line."""

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


class FolderSource(Section):
    """Your own images and masks; datasets/folder.py describes the files. groups: a CSV file in `root`."""

    kind: Literal["folder"]
    root: Path
    bits: Annotated[int, Field(ge=8, le=16, strict=True)]
    groups: Path | None
    split: Annotated[FoldersSplit | ListsSplit | RatioSplit, Field(discriminator="by")]


class VOC2012Source(Section):
    """Pascal VOC 2012, with SBD's labels unless that folder is null; both are downloaded if they are missing."""

    kind: Literal["voc2012"]
    root: Path
    sbd: Path | None


class CityscapesSource(Section):
    """Cityscapes' leftImg8bit and gtFine."""

    kind: Literal["cityscapes"]
    root: Path


class OxfordPetSource(Section):
    """Oxford-IIIT Pet; downloaded to `root` if that folder is missing."""

    kind: Literal["oxford_pet"]
    root: Path


class ADE20KSource(Section):
    """The unpacked ADEChallengeData2016."""

    kind: Literal["ade20k"]
    root: Path


class COCOSource(Section):
    """COCO 2017's images and one of its two kinds of dense labels."""

    kind: Literal["coco"]
    root: Path
    labels: Literal["panoptic", "stuff"]


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


class ModelInput(Section):
    """What a network sees: images resized by `scale`, training samples cut to `crop_px` (height, width)."""

    scale: Annotated[Number, Field(ge=0.05, le=4)]
    crop_px: Annotated[list[Side], Field(min_length=2, max_length=2)]


Predictions = dict[Name, Annotated[Path, AfterValidator(_existing_folder)]]


class Lecture(Section):
    """Which classes the lecture's claims about detail and about context are judged by."""

    thin_classes: list[str]
    context_classes: list[str]


class Dataset(Section):
    """A dataset and the few choices that depend on its images' size and number, its own values of `train` too."""

    source: Annotated[AnySource, Field(discriminator="kind")]
    input: ModelInput
    copies: CountOrZero
    train: dict[str, Any]
    lecture: Lecture
    predictions: Predictions

    @model_validator(mode="after")
    def _crop_fits(self) -> "Dataset":
        if isinstance(self.source, ScenesSource):
            height, width = (round(size * self.input.scale) for size in (self.source.height_px, self.source.width_px))
            if self.input.crop_px[0] > height or self.input.crop_px[1] > width:
                raise ValueError(
                    f"input.crop_px is {self.input.crop_px}; it must be at most [{height}, {width}], the scaled image"
                )
        return self


class Augment(Section):
    """Random transforms of training images, by albumentations' names and arguments, in order."""

    seed: Seed
    transforms: list[Annotated[dict[str, dict[str, Any]], Field(min_length=1, max_length=1)]]


class Backbone(Section):
    """The encoder that all networks share: any timm model with feature maps."""

    name: Annotated[str, Field(min_length=1)]
    weights: Annotated[str, Field(min_length=1)]

    @model_validator(mode="after")
    def _bundled_weights_exist(self) -> "Backbone":
        if self.weights == "bundled" and self.name != "tf_efficientnet_lite0":
            raise ValueError(
                f"weights is bundled, but only tf_efficientnet_lite0 has bundled weights, not {self.name}; "
                "it must be none, hub or a file"
            )
        if self.name == CONTRACTING_PATH and self.weights != "none":
            raise ValueError(f"weights is {self.weights}; it must be none, since {self.name} has none")
        if self.weights not in ("bundled", "none", "hub") and not (project_root() / self.weights).is_file():
            raise ValueError(f"weights is {self.weights}; it must be bundled, none, hub or an existing file")
        return self


def _devices(value: Any) -> Any:
    if value == "auto" or (isinstance(value, int) and not isinstance(value, bool) and value >= 1):
        return value
    raise PydanticCustomError("devices", "Input should be auto or a whole number of at least 1")


class Train(Section):
    """The schedule that all networks share."""

    epochs: Count
    seeds: Annotated[list[Seed], Field(min_length=1), AfterValidator(_distinct)]
    batch_size: Count
    optimizer: Literal["adamw", "sgd"]
    lr: Positive
    backbone_lr_factor: NotNegative
    momentum: Annotated[Number, Field(ge=0, lt=1)]
    weight_decay: NotNegative
    warmup_epochs: NotNegative
    poly_power: Positive
    gradient_clip_norm: Positive | None
    loss: Annotated[dict[LossName, Positive], Field(min_length=1)]
    class_weights: Literal["none", "inverse_frequency", "median_frequency"]
    rare_class_sampling: Annotated[Number, Field(ge=0, le=1)]
    precision: Literal["auto", "float32", "bfloat16", "bfloat16_dense", "float16"]
    checkpoint: Literal["last", "best"]
    validate_every_epochs: Count
    loader_workers: CountOrZero
    accelerator: Literal["auto", "cpu", "gpu", "mps", "tpu"]
    devices: Annotated[int | str, BeforeValidator(_devices)]


class Model(Section):
    """What every entry of `models` may hold: deviations from `train`, each printed in the table.

    train_on: by dataset, of those that hold on one alone.
    """

    train: dict[str, Any] = Field(default_factory=dict)
    train_on: dict[str, dict[str, Any]] = Field(default_factory=dict)


class ColorClustersModel(Model):
    architecture: Literal["color_clusters"]
    num_clusters: Count


class SlidingWindowModel(Model):
    architecture: Literal["sliding_window"]
    patch_px: Annotated[int, Field(ge=12, multiple_of=4, strict=True)]
    stride: Literal[1, 2, 4, 8]
    channels: Count
    hidden_channels: Count
    patches_per_image: Count


class BackboneModel(Model):
    """A network on the shared backbone, or on its own, which the table prints as a deviation."""

    backbone: Backbone | None = None


class FCNModel(BackboneModel):
    architecture: Literal["fcn"]
    stride: Literal[8, 16, 32]
    upsampling: Literal["transposed", "bilinear"]
    fc6_kernel_px: Odd
    head_channels: Count
    dropout: Share
    batch_norm: bool
    skip_scales: Annotated[list[Positive], Field(min_length=2, max_length=2)]


class UNetModel(BackboneModel):
    architecture: Literal["unet"]
    decoder_channels: Annotated[list[Count], Field(min_length=1)]
    batch_norm: bool

    @model_validator(mode="after")
    def _an_entry_a_step(self) -> "UNetModel":
        num_steps = 4 if self.backbone and self.backbone.name == CONTRACTING_PATH else 5
        if len(self.decoder_channels) != num_steps:
            raise ValueError(
                f"decoder_channels has {len(self.decoder_channels)} entries; it must have {num_steps}, one a step"
            )
        return self


class PSPNetModel(BackboneModel):
    architecture: Literal["pspnet"]
    output_stride: OutputStride
    bins: Annotated[list[Count], Field(min_length=1)]
    head_channels: Count
    dropout: Share
    auxiliary_channels: Count
    auxiliary_weight: NotNegative


class DeepLabV1Model(BackboneModel):
    architecture: Literal["deeplab_v1"]
    output_stride: OutputStride
    atrous_rate: Count
    head_channels: Count
    dropout: Share
    batch_norm: bool


class DeepLabV2Model(BackboneModel):
    architecture: Literal["deeplab_v2"]
    output_stride: OutputStride
    atrous_rates: Rates


class DeepLabV3Model(BackboneModel):
    architecture: Literal["deeplab_v3"]
    output_stride: OutputStride
    atrous_rates: Rates
    head_channels: Count
    dropout: Share


class DeepLabV3PlusModel(BackboneModel):
    architecture: Literal["deeplab_v3_plus"]
    output_stride: OutputStride
    atrous_rates: Rates
    head_channels: Count
    low_level_channels: Count
    dropout: Share


AnyModel = (
    ColorClustersModel
    | SlidingWindowModel
    | FCNModel
    | UNetModel
    | PSPNetModel
    | DeepLabV1Model
    | DeepLabV2Model
    | DeepLabV3Model
    | DeepLabV3PlusModel
)
POOLS_THE_IMAGE = (PSPNetModel, DeepLabV3Model, DeepLabV3PlusModel)
"""Their batch norm over one value an image needs at least two images a step."""
ENDS_WITH_CRF = ("deeplab_v1", "deeplab_v2")
"""Architectures whose papers report the network with the dense CRF behind it."""


def _ascending(values: list[Any]) -> list[Any]:
    if any(second <= first for first, second in pairwise(values)):
        raise PydanticCustomError("ascending", "Input should be in ascending order, each once")
    return values


Range = Annotated[list[Positive], Field(min_length=2, max_length=2), AfterValidator(_ascending)]


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
    steps: Annotated[list[Count], Field(min_length=1), AfterValidator(_ascending)]


class Evaluate(Section):
    """Scores near boundaries between classes."""

    trimap_widths_px: Annotated[list[Positive], Field(min_length=1), AfterValidator(_ascending)]


class Compare(Section):
    """The qualitative figure."""

    figure_images: Annotated[int, Field(ge=1, le=12, strict=True)]


class Params(Section):
    """The whole of params.yaml."""

    benchmark: Benchmark
    datasets: dict[Name, Dataset]
    backbone: Backbone
    models: dict[Name, Annotated[AnyModel, Field(discriminator="architecture")]]
    augment: Augment
    train: Train
    crf: CRF
    evaluate: Evaluate
    compare: Compare

    @model_validator(mode="after")
    def _the_shared_backbone_is_an_encoder(self) -> "Params":
        if self.backbone.name == CONTRACTING_PATH:
            raise ValueError(
                f"backbone.name is {CONTRACTING_PATH}, which is only for a U-Net's own; name a timm encoder"
            )
        return self

    @model_validator(mode="after")
    def _names_are_known(self) -> "Params":
        for kind in ("datasets", "models"):
            names, known = getattr(self.benchmark, kind), getattr(self, kind)
            for name in names:
                if name not in known:
                    raise ValueError(f"benchmark.{kind} names {name}; it must be one of {', '.join(known)}")
                if names.count(name) > 1:
                    raise ValueError(f"benchmark.{kind} names {name} twice")
        return self

    @model_validator(mode="after")
    def _models_train_on_datasets(self) -> "Params":
        for name, model in self.models.items():
            for dataset in model.train_on:
                if dataset not in self.datasets:
                    raise ValueError(f"models.{name}.train_on names {dataset}; it must be one of datasets")
        return self

    @model_validator(mode="after")
    def _predictions_are_told_from_models(self) -> "Params":
        for dataset, entry in self.datasets.items():
            for name in entry.predictions:
                if name in self.models:
                    raise ValueError(f"datasets.{dataset}.predictions.{name} has a model's name; choose another")
        return self

    def dataset(self, name: str) -> Dataset:
        """The entry of `datasets`, or InputError with the known names."""
        return _entry(self.datasets, name, "datasets")

    def model(self, name: str) -> AnyModel:
        """The entry of `models`, or InputError with the known names."""
        return _entry(self.models, name, "models")

    def backbone_for(self, model_name: str) -> Backbone:
        """The model's own backbone, or the shared one."""
        model = self.model(model_name)
        own = model.backbone if isinstance(model, BackboneModel) else None
        return own or self.backbone

    def deviations(self, dataset_name: str, model_name: str) -> dict[str, Any]:
        """What a model does not share with the others: its own values of `train`, its own backbone."""
        model = self.model(model_name)
        if isinstance(model, BackboneModel):
            own = {"backbone": self.backbone_for(model_name).name} if model.backbone else {}
        else:
            own = {"backbone": "none"}
        return {**own, **model.train, **model.train_on.get(dataset_name, {})}

    def train_for(self, dataset_name: str, model_name: str, path: Path = PARAMS_FILE) -> Train:
        """The shared schedule with that dataset's values, then that model's, then the model's on that dataset.

        path: what an error is said to be in.
        """
        schedule, model = self.train, self.model(model_name)
        for where, own in (
            (f"datasets.{dataset_name}.train", self.dataset(dataset_name).train),
            (f"models.{model_name}.train", model.train),
            (f"models.{model_name}.train_on.{dataset_name}", model.train_on.get(dataset_name, {})),
        ):
            schedule = _validate(Train, {**schedule.model_dump(), **own}, where, path)
        return schedule


def load(path: Path = PARAMS_FILE) -> Params:
    """Read and validate params.yaml; InputError has a line a mistake: path, value, what is allowed."""
    try:
        tree = yaml.safe_load(path.read_text())
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; run from the project's root") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(tree, dict):
        raise InputError(f"{path}: it must hold sections such as train: and models:")
    params = _validate(Params, tree, "", path)
    for dataset, (name, model) in product(params.datasets, params.models.items()):
        batch_size = params.train_for(dataset, name, path).batch_size
        is_selected = dataset in params.benchmark.datasets and name in params.benchmark.models
        if is_selected and isinstance(model, POOLS_THE_IMAGE) and batch_size < 2:
            raise InputError(
                f"{path}: batch_size is {batch_size} for models.{name} on datasets.{dataset}; it must be at least 2, "
                "since its batch norm would see one value"
            )
    return params


def _entry(entries: dict[str, Entry], name: str, section: str) -> Entry:
    if name not in entries:
        raise InputError(f"{PARAMS_FILE}: {section}.{name} is not there; known {section}: {', '.join(entries)}")
    return entries[name]


def _validate(model: type[AnySection], tree: Any, prefix: str, path: Path = PARAMS_FILE) -> AnySection:
    try:
        return model.model_validate(tree)
    except ValidationError as error:
        lines = [f"{path}: {_explain(details, tree, prefix)}" for details in error.errors()]
        raise InputError("\n".join(dict.fromkeys(lines))) from None


def _explain(details: Any, tree: Any, prefix: str) -> str:
    """One of pydantic's errors as `train.lr is -1; it must be greater than 0`."""
    keys = [key for key in details["loc"] if key != "[key]"]
    is_missing = details["type"] == "missing"
    where = ".".join(([prefix] if prefix else []) + [str(key) for key in _keys_in(tree, keys, is_missing=is_missing)])
    value, message, context = details["input"], details["msg"], details.get("ctx", {})
    match details["type"]:
        case "unknown_key":
            return f"{where or 'the top level'} has no parameter {context['key']}; it has {context['known']}"
        case "missing":
            return f"{where} is missing"
        case "union_tag_invalid":
            tag = context["discriminator"].strip("'")
            return f"{where}.{tag} is {context['tag']}; it must be one of {context['expected_tags']}"
        case "union_tag_not_found":
            return f"{where}.{context['discriminator'].strip(chr(39))} is missing"
        case "value_error":
            return f"{where}: {context['error']}" if where else str(context["error"])
        case "string_pattern_mismatch":
            return f"{where}: the name {value} must have only a-z, 0-9 and _"
    allowed = re.sub(r"^Input is not a valid path.*", "a path", message)
    allowed = re.sub(r"^Input should be |, unable to parse.*| or instance of \w+| after validation", "", allowed)
    allowed = re.sub(r"^(List|Dictionary) should have", r"a \1 of", allowed).lower()
    return f"{where} is {value}; it must be {allowed}"


def _keys_in(tree: Any, keys: list[str | int], *, is_missing: bool) -> list[str | int]:
    """Drop what pydantic puts into an error's location that is no key of the file: names of union members."""
    kept: list[str | int] = []
    for position, key in enumerate(keys):
        is_last = position == len(keys) - 1
        in_list = isinstance(tree, list) and isinstance(key, int) and key < len(tree)
        if in_list or (isinstance(tree, dict) and key in tree):
            tree = tree[key]
        elif not (is_last and is_missing):
            continue
        kept.append(key)
    return kept
