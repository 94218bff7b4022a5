"""How a dataset's models were trained and scored."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from segbench.datasets.prepared import Prepared
from segbench.report.pages.listing import by_value, listed
from segbench.report.table.results import ModelResults


def protocol(dataset: str, data: Prepared, models: Sequence[ModelResults]) -> dict[str, str]:
    """The settings as the stages recorded them. Where models differ, each value is followed by its models."""
    trainings = [model.training for model in models]
    versions = {", ".join(f"{name} {number}" for name, number in t["versions"].items()) for t in trainings}
    commits = {each["commit"] for training in trainings for each in training["trainings"]}
    blocks = len({row.block for row in data.split("test")})
    by_epochs = [model for model in models if not model.epochs.empty]

    def of_training(show: Callable[[dict[str, Any]], str]) -> str:
        return _shared({model.name: show(model.settings["train"]) for model in by_epochs})

    lines = {
        "dataset": f"{dataset}, fingerprint {data.fingerprint}",
        "scores": "one confusion matrix over the test split, whole images at their own size, no test-time augmentation",
        "intervals": f"95 %, studentised bootstrap over {blocks} blocks of {len(data.split('test'))} test images",
        "network input": _shared({model.name: _network_input(model.settings["samples"]) for model in models}),
        "backbone": _shared({model.name: _backbone(model) for model in models}),
        "schedule": of_training(_schedule),
        "search": _shared({model.name: _search(model.training["search"]) for model in by_epochs}),
        "loss": of_training(lambda train: " + ".join(f"{weight:g} {name}" for name, weight in train["loss"].items())),
        "class weights": of_training(lambda train: train["class_weights"]),
        "rare-class sampling": of_training(lambda train: f"{100 * train['rare_class_sampling']:g} % of the samples"),
        "checkpoint": of_training(lambda train: train["checkpoint"]),
        "precision": of_training(lambda train: f"training {train['precision']}, prediction float32"),
        "seeds": _shared({m.name: ", ".join(map(str, m.settings["train"]["seeds"])) for m in models}),
        "trained at commit": "; ".join(sorted(commits)),
        "machine": "; ".join(sorted({training["machine"] for training in trainings})),
        "versions": "; ".join(sorted(versions)),
    }
    return {what: value for what, value in lines.items() if value}


def _network_input(samples: dict[str, Any]) -> str:
    crop_height, crop_width = samples["crop_px"]
    size = "full size" if samples["scale"] == 1 else f"{samples['scale']:g} of their size"
    return f"images at {size}, training crops {crop_width}x{crop_height} px"


def _backbone(model: ModelResults) -> str:
    return f"{model.backbone['name']}, weights {model.backbone['weights']}" if model.backbone else "none"


def _schedule(train: dict[str, Any]) -> str:
    batch = f"batch {train['batch_size']}{' per device' if train['devices'] != 1 else ''}"
    rates = f"lr {train['lr']:g} (backbone {train['backbone_lr_factor']:g} of it)"
    return f"{train['epochs']} epochs, {batch}, {train['optimizer']}, {rates}"


def _search(search: dict[str, Any] | None) -> str:
    """The budget, the same for each network; what was best for each stands in the table."""
    if not search:
        return "none: common values for all"
    tried = {name: [trial["values"].get(name) for trial in search["trials"]] for name in _searched_names(search)}
    values = "; ".join(f"{name} {', '.join(map(_value, of_trials))}" for name, of_trials in tried.items())
    return (
        f"{len(search['trials'])} trials of {search['epochs']} epochs for each network, judged by mIoU on the "
        f"validation images ({values})"
    )


def _searched_names(search: dict[str, Any]) -> list[str]:
    return list(dict.fromkeys(name for trial in search["trials"] for name in trial["values"]))


def _value(value: Any) -> str:
    return "as above" if value is None else str(value)


def _shared(values: Mapping[str, str]) -> str:
    """The value that most models have; then each other value with its models."""
    common, *others = by_value(values).items() or [("", [])]
    return "; ".join([common[0], *(f"{listed(models)}: {value}" for value, models in others)])
