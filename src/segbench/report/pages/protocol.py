"""How a dataset's models were trained and scored."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from segbench.datasets.prepared import Prepared
from segbench.report.pages.about import commit_day
from segbench.report.pages.listing import by_value, listed
from segbench.report.table.numbers import counted, setting
from segbench.report.table.results import ModelResults
from segbench.scoring.blocks import Blocks

COMMIT, LICENCE, MACHINE = "trained at commit", "licence of the images", "machine"
"""Lines that the page over all datasets shows too."""


def protocol(
    dataset: str, data: Prepared, models: Sequence[ModelResults], *, blocks: Blocks, num_compared: int = 1,
    others: Sequence[str] = (),
) -> dict[str, str]:  # fmt: skip
    """The settings as the stages recorded them. Where models differ, each value is followed by its models.

    blocks: which test images the intervals take as one; num_compared: trainings of each model, which scores are means
    over; others: the names of other programs' predictions.
    """
    num_train = len(data.split("train"))
    networks = [model for model in models if not model.epochs.empty]
    on_backbones = [network for network in networks if network.backbone]

    def of_training(show: Callable[[dict[str, Any]], str], *, of: Sequence[ModelResults] = networks) -> str:
        return _shared({network.name: show(network.settings["train"]) for network in of})

    lines = {
        "dataset": f"{dataset}, fingerprint {data.fingerprint}",
        "scores": _scores(num_compared),
        "intervals": _intervals(blocks, num_images=len(data.split("test"))),
        "network input": _shared({model.name: _network_input(model.settings["samples"]) for model in models}),
        "backbone": _shared({model.name: _backbone(model) for model in models}),
        "schedule": of_training(lambda train: _schedule(train, num_train=num_train)),
        "backbone's lr": of_training(lambda train: f"{train['backbone_lr_factor']:g} of lr", of=on_backbones),
        "search": _shared({model.name: _search(model.training["search"]) for model in networks}),
        "loss": of_training(lambda train: setting(train["loss"])),
        "class weights": of_training(lambda train: train["class_weights"]),
        "rare-class sampling": of_training(lambda train: f"{100 * train['rare_class_sampling']:g} % of the samples"),
        "checkpoint": of_training(lambda train: train["checkpoint"]),
        "precision": of_training(lambda train: f"{train['precision']} while training"),
        "prediction": _shared({model.name: _prediction(model.prediction) for model in models}),
        "seeds": _shared({m.name: ", ".join(map(str, m.settings["train"]["seeds"])) for m in models}),
        COMMIT: _shared({model.name: _commits(model) for model in models}),
        MACHINE: _shared({model.name: _machine(model) for model in models}),
        "versions": _shared({model.name: _versions(model) for model in models}),
        "other programs": f"only the label maps are known of {listed(others)}" if others else "",
    }
    return {what: value for what, value in lines.items() if value}


def _scores(num_compared: int) -> str:
    matrix = "one confusion matrix over the test split"
    if num_compared > 1:
        matrix += f" for each of {num_compared} trainings, and the mean of their scores"
    return f"{matrix}; label maps at the images' own size"


def _intervals(blocks: Blocks, *, num_images: int) -> str:
    images = counted(num_images, "test image")
    if blocks.number == 1:
        return f"not known, since {images} in one block cannot be resampled"
    drawn = images if blocks.number == num_images else f"{images} in {blocks.number} blocks"
    return f"95 %, studentised bootstrap over {drawn}"


def _network_input(samples: dict[str, Any]) -> str:
    crop_height, crop_width = samples["crop_px"]
    size = "full size" if samples["scale"] == 1 else f"{samples['scale']:g} of their size"
    return f"images at {size}, training crops {crop_width}x{crop_height} px"


def _prediction(prediction: dict[str, Any]) -> str:
    """prediction: names tiles and test-time augmentation only where they were used."""
    side = prediction.get("tile_px")
    images = f"overlapping tiles of {side}x{side} px, blended" if side else "whole images"
    return f"{images}, float32, {_views(prediction.get('test_time'))}"


def _views(test_time: dict[str, Any] | None) -> str:
    if test_time is None:
        return "no test-time augmentation"
    several = len(test_time["scales"]) > 1
    sizes = f"scale{'s' if several else ''} {listed([f'{scale:g}' for scale in test_time['scales']])}"
    mirrored = ", each also mirrored" if several else " and mirrored"
    return f"mean of the probabilities at {sizes}{mirrored if test_time['flip'] else ''}"


def _backbone(model: ModelResults) -> str:
    return f"{model.backbone['name']}, weights {model.backbone['weights']}" if model.backbone else "none"


def _schedule(train: dict[str, Any], *, num_train: int) -> str:
    """num_train: of images. A batch, which the devices share, is no larger than all of them."""
    devices, nodes = train["devices"], train.get("nodes", 1)
    batch = f"batch {min(train['batch_size'], num_train)}"
    if (devices, nodes) != (1, 1):
        batch += f" on {'all' if devices == 'auto' else devices * nodes} devices"
    return f"{counted(train['epochs'], 'epoch')}, {batch}, {train['optimizer']}, lr {train['lr']:g}"


def _commits(model: ModelResults) -> str:
    """With the day of each that git knows here."""
    commits = sorted({training["commit"] for training in model.training["trainings"]})
    return ", ".join(f"{commit} of {day}" if (day := commit_day(commit)) else commit for commit in commits)


def _machine(model: ModelResults) -> str:
    trained, predicted = model.trained_on, model.prediction["machine"]
    return trained if trained == predicted else f"{trained} for training, {predicted} for prediction"


def _versions(model: ModelResults) -> str:
    return ", ".join(f"{name} {number}" for name, number in model.training["versions"].items())


def _search(search: dict[str, Any] | None) -> str:
    """The budget, the same for each network; what was best for each stands in the table."""
    if not search:
        return "none"
    tried = {name: [trial["values"].get(name) for trial in search["trials"]] for name in _searched_names(search)}
    values = "; ".join(f"{name} {', '.join(map(_value, of_trials))}" for name, of_trials in tried.items())
    were_before = all(trial["training_seconds"] is None for trial in search["trials"])
    return (
        f"{counted(len(search['trials']), 'trial')} of {counted(search['epochs'], 'epoch')} for each network, judged "
        f"by mIoU on the validation images ({values})"
        f"{', before this run' if were_before else ''}"
    )


def _searched_names(search: dict[str, Any]) -> list[str]:
    return list(dict.fromkeys(name for trial in search["trials"] for name in trial["values"]))


def _value(value: Any) -> str:
    return "as above" if value is None else str(value)


def _shared(values: Mapping[str, str]) -> str:
    """The value that most models have; then each other value with its models."""
    common, *others = by_value(values).items() or [("", [])]
    return "; ".join([common[0], *(f"{listed(models)}: {value}" for value, models in others)])
