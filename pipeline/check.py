"""params.yaml is valid, and which sources each stage uses: known before any stage starts.

DVC deletes a stage's outputs when the stage starts, so that a mistake must be found first. A stage depends on the
digests of what it imports, for its own model and dataset, as dependencies in dvc.yaml: `dvc status` names the source.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path

from pipeline.command import run
from segbench import params, tracking
from segbench.augment.transforms import Augmentation
from segbench.checkpoints import remove_folders
from segbench.datasets.catalog import classes_of, open_source, source_files
from segbench.datasets.source import SPLITS
from segbench.errors import InputError, raise_listed
from segbench.files import folder_digest, project_root, read_json, remove_all_left_over, replacing, write_json
from segbench.params.backbone import weights_file
from segbench.sources import source_digests

PER_MODEL = ("train", "predict", "crf")
"""Stages that run a model's network."""
SHARED = ("augment", "evaluate", "evaluate_variant", "external", "claims", "compare")
FROM_PARAMS = {
    "train": ["segbench.params.overrides", "segbench.params.rates"],
    "predict": ["segbench.params.rates"],
    "crf": ["segbench.params.rates"],
    "compare": ["segbench.params.models"],
    "package": ["segbench.params.rates"],
}
"""What stages take from the parameters' code beside values: which value counts, atrous rates, who ends with a CRF."""

LARGEST_STRIDE = 32
"""Of a backbone whose model names no other: its deepest feature map has a value for so many pixels."""

VARIANT = ("pipeline.train", "pipeline.predict")
"""What the stage of that name runs."""


def main(*, out: Path) -> None:
    """Validate params.yaml, and write one file of source digests for each stage, by model or dataset."""
    parameters = params.load()
    for name in parameters.benchmark.datasets:
        dataset = parameters.dataset(name)
        height, width = dataset.input.crop_px
        Augmentation(parameters.augment.transforms, scale=dataset.input.scale, crop_px=(height, width))
        _check_classes(name, dataset.claims, known=classes_of(dataset.source).names)
        _check_batches(name, dataset, parameters)
    _check_backbones(parameters)
    check_machine(parameters)
    remove_folders(_keys_in_place(parameters))
    for folder in _folders_of_results():
        remove_all_left_over(folder)
    tracking.check_store()
    with replacing(out) as folder:
        for name, modules in _modules(parameters):
            write_json(folder / f"{name}.json", {**source_digests(*modules), **_named_files(parameters, name)})
        for name in parameters.benchmark.variants:
            # With all values: dvc.yaml cannot name the model that a variant has the others from.
            model = parameters.model(name)
            digests = source_digests(*VARIANT, *FROM_PARAMS["train"], model.network_module)
            files = weights_file(parameters.backbone_for(name))
            write_json(folder / f"variant/{name}.json", {**digests, **files, "model": model.model_dump()})
        for of, name in product(parameters.benchmark.datasets, _trained(parameters)):
            write_json(folder / f"failed/{of}/{name}.json", {"failed": _failure(of, name)})


def failure_log(dataset: str, model: str) -> Path:
    """What a model's stages printed on a cluster before they failed. While it is there, the model counts as failed."""
    return Path("reports") / dataset / "models" / model / "failed.log"


def reason_of(log: str) -> str:
    """The last line that tells of an error; else the last one."""
    lines = log.strip().splitlines()
    return next((line for line in reversed(lines) if re.match(r"error: |[\w.]+(Error|Exception): ", line)), lines[-1])


def _failure(dataset: str, model: str) -> str:
    """Why a model's stages failed on a cluster, and where their log is; empty if they did not."""
    log = failure_log(dataset, model)
    return f"{reason_of(log.read_text(encoding='utf-8'))} (see {log.as_posix()})" if log.exists() else ""


def _keys_in_place(parameters: params.Params) -> Iterator[str]:
    """Keys of trainings whose weights and reports are there: what a killed repetition has left is of no use then.

    It stays where DVC took the former results out of its cache instead of running the stage again.
    """
    for dataset, model in product(parameters.benchmark.datasets, _trained(parameters)):
        report = Path("reports") / dataset / "models" / model / "training.json"
        if report.exists():
            for record in read_json(report)["trainings"]:
                if (Path("data/weights") / dataset / model / f"seed_{record['seed']}.pt").exists():
                    yield record["training_key"]


def _folders_of_results() -> Iterator[Path]:
    """Those in which stages put what they have made.

    Not data/raw, whose files are the user's, and nothing that is linked, where stages of other machines may be writing.
    """
    yield Path("data")
    made_here = (path for path in Path("data").glob("*") if path.is_dir() and not path.is_symlink())
    for made in (path for path in made_here if path.name != "raw"):
        yield made
        yield from (path for pattern in ("*", "*/*") for path in made.glob(pattern) if path.is_dir())
    for pattern in ("reports", "reports/*", "reports/*/models", "reports/*/models/*"):
        yield from (path for path in Path().glob(pattern) if path.is_dir())


def _trained(parameters: params.Params) -> tuple[str, ...]:
    return (*parameters.benchmark.models, *parameters.benchmark.variants)


def _modules(parameters: params.Params) -> Iterator[tuple[str, Sequence[str]]]:
    """A file's name, and the modules that the stage runs; what those import follows from their code."""
    for dataset in parameters.benchmark.datasets:
        yield f"prepare/{dataset}", ("pipeline.prepare", parameters.dataset(dataset).source.module)
    for model in parameters.benchmark.models:
        for stage in PER_MODEL:
            network = parameters.model(model).network_module
            yield f"{stage}/{model}", (f"pipeline.{stage}", network, *FROM_PARAMS.get(stage, ()))
    networks = [parameters.model(model).network_module for model in parameters.benchmark.models]
    for stage in ("latency", "package"):
        yield stage, (f"pipeline.{stage}", *networks, *FROM_PARAMS.get(stage, ()))
    sources = [parameters.dataset(dataset).source.module for dataset in parameters.benchmark.datasets]
    for stage in SHARED:
        named = sources if stage == "compare" else ()  # their licences and papers stand in reports
        yield stage, (f"pipeline.{stage}", *FROM_PARAMS.get(stage, ()), *named)


def _named_files(parameters: params.Params, name: str) -> dict[str, str]:
    """Digests by path of the files that params.yaml names for a stage, which DVC does not know.

    name: as `_modules` has it.
    """
    stage, _, of = name.partition("/")
    match stage:
        case "prepare":
            return source_files(parameters.dataset(of).source)
        case "train":
            return weights_file(parameters.backbone_for(of))
        case "external":
            entries = map(parameters.dataset, parameters.benchmark.datasets)
            folders = [folder for entry in entries for folder in entry.predictions.values()]
            return {str(folder): folder_digest(project_root() / folder) for folder in folders}
    return {}


def _check_backbones(parameters: params.Params) -> None:
    """Build, without numbers, what has another backbone than the bundled one, which is known to fit all."""
    others = [
        (name, backbone)
        for name in _trained(parameters)
        if isinstance(parameters.model(name), params.BackboneModel)
        and (backbone := parameters.backbone_for(name)).weights != "bundled"
    ]
    if not others:
        return
    from segbench.models.backbones import check_hub_weights
    from segbench.models.build import build_model
    from segbench.models.shapes import without_numbers

    for encoder in sorted({backbone.name for _, backbone in others if backbone.weights == "hub"}):
        check_hub_weights(encoder)
    with without_numbers():
        for name, backbone in others:
            untrained = backbone.model_copy(update={"weights": "none"})
            build_model(parameters.model(name), backbone=untrained, num_classes=2)


def check_machine(parameters: params.Params) -> None:
    """Raise InputError if a training asks for a device or a number format that this machine does not have."""
    asked = set()
    for dataset, name in product(parameters.benchmark.datasets, _trained(parameters)):
        train = parameters.train_for(dataset, name)
        if parameters.model(name).has_schedule:
            precisions = [candidate.get("precision", train.precision) for candidate in train.search.candidates]
            asked |= {(train.accelerator, precision) for precision in (train.precision, *precisions)}
    special = sorted(pair for pair in asked if pair[0] not in ("auto", "cpu") or pair[1] == "float16")
    if not special:  # most machines can do the rest, and torch takes seconds to import
        return
    from segbench.training.precision import choose_precision, device_type

    for accelerator, precision in special:
        choose_precision(precision, device_type(accelerator))


def _check_batches(name: str, dataset: params.Dataset, parameters: params.Params) -> None:
    """Refuse batches of one image where batch norm would see one value per channel, before anything is trained.

    Published datasets have many training images; they are not opened, since that may download them.
    """
    num_images = _num_training_images(name, dataset.source)
    mistakes = []
    for model_name in (*parameters.benchmark.models, *parameters.benchmark.variants):
        model = parameters.model(model_name)
        train = parameters.train_for(name, model_name)
        if num_images is None or min(train.batch_size, num_images) >= 2 * train.known_processes:
            continue
        stride = getattr(model, "output_stride", LARGEST_STRIDE)
        if model.pools_the_image:
            why = f"{model_name} needs two, since its batch norm after pooling the image would see one value"
        elif isinstance(model, params.BackboneModel) and max(dataset.input.crop_px) <= stride:
            why = f"{model_name} needs two, or input.crop_px above {stride}, or its batch norm would see one value"
        else:
            continue
        images = f"{num_images} training image{'s' * (num_images > 1)}"
        batches = f"{images} and batch_size {train.batch_size} make batches of one"
        on_each = f" on each of {train.known_processes} devices" if train.known_processes > 1 else ""
        mistakes.append(f"{name}: {batches}{on_each}; {why}")
    raise_listed(mistakes)


def _num_training_images(name: str, source: params.AnySource) -> int | None:
    """How many there are; None for published datasets. A user's own folder is opened: its mistakes are told at once."""
    match source:
        case params.ScenesSource():
            return source.num_train
        case params.FolderSource():
            counts = Counter(example.split for example in open_source(source).examples)
            if empty := [split for split in SPLITS if not counts[split]]:
                raise InputError(f"{name}: the split {empty[0]} is empty; it must have at least one image")
            return counts["train"]
    return None


def _check_classes(dataset: str, claims: params.Claims, *, known: Sequence[str]) -> None:
    for key, names in claims.model_dump().items():
        for name in names:
            if name not in known:
                raise InputError(
                    f"params.yaml: datasets.{dataset}.claims.{key} names {name}; it must be one of {', '.join(known)}"
                )


if __name__ == "__main__":
    run(main)
