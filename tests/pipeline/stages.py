"""What the files dvc.yaml say, read as DVC reads it: stages, their commands, parameters and sources."""

import importlib
import inspect
import shlex
from typing import Any

import yaml

from tests.parameters import PARAMS_FILE, PROJECT, WHOLE_IMAGES

FILES = ("src/dvc.yaml", "dvc.yaml")
STAGES: dict[str, Any] = {
    name: stage for file in FILES for name, stage in yaml.safe_load((PROJECT / file).read_text())["stages"].items()
}
PER_MODEL = [name for name, stage in STAGES.items() if stage.get("matrix", {}).get("model") == "${benchmark.models}"]
PER_VARIANT = [
    name for name, stage in STAGES.items() if stage.get("matrix", {}).get("model") == "${benchmark.variants}"
]
PER_DATASET = [name for name, stage in STAGES.items() if "foreach" in stage]


def body(stage: str) -> dict[str, Any]:
    """A stage's cmd, deps, params and outs."""
    content: dict[str, Any] = STAGES[stage].get("do", STAGES[stage])
    return content


def parameters_of(stage: str) -> list[str]:
    """The paths of params.yaml that a stage declares; digests of sources are in files of their own."""
    return [path for path in body(stage).get("params", []) if isinstance(path, str)]


def filled(text: str, *, dataset: str, model: str) -> str:
    """A text of dvc.yaml with its ${item...} replaced."""
    for name, value in {"item.dataset": dataset, "item.model": model, "item": dataset}.items():
        text = text.replace(f"${{{name}}}", value)
    return text


def commands(stage: str) -> list[str]:
    """A stage's commands, in the order in which DVC runs them."""
    command = body(stage)["cmd"]
    return command if isinstance(command, list) else [command]


def run_stage(stage: str, *, dataset: str = "scenes", model: str = "") -> None:
    """Call a stage's mains in this process, with the arguments of its commands in dvc.yaml."""
    for command in commands(stage):
        _, _, module, *options = shlex.split(filled(command, dataset=dataset, model=model))
        main = importlib.import_module(module).main
        types = {name: parameter.annotation for name, parameter in inspect.signature(main).parameters.items()}
        names = [option.removeprefix("--").replace("-", "_") for option in options[::2]]
        main(**{name: types[name](value) for name, value in zip(names, options[1::2], strict=True)})


def tiny_parameters() -> dict[str, Any]:
    """The tests' params.yaml, with little to do."""
    parameters: dict[str, Any] = yaml.safe_load(PARAMS_FILE.read_text())
    make_tiny(parameters)
    return parameters


def make_tiny(parameters: dict[str, Any]) -> None:
    """Leave little to do: a few small scenes, two models, two epochs."""
    scenes = parameters["datasets"]["scenes"]
    scenes["source"] |= {"width_px": 64, "height_px": 48, "num_train": 8, "num_val": 2, "num_test": 3}
    scenes |= {"input": {"scale": 1.0, "crop_px": [48, 64], **WHOLE_IMAGES}, "copies": 2, "train": {"epochs": 2}}
    parameters["benchmark"] = {"datasets": ["scenes"], "models": ["color_clusters", "fcn_8s"], "variants": []}
    parameters["train"] |= {"batch_size": 4, "validate_every_epochs": 1}
    parameters["crf"] |= {"trials": 3, "tuning_images": 2, "steps": [1, 3]}
    parameters["compare"]["figure_images"] = 2
