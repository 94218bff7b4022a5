"""What trainings leave behind."""

from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from segbench import params
from segbench.augment.stream import Recipe, write_augmented
from segbench.checkpoints import RECORD, WEIGHTS
from segbench.datasets import scenes
from segbench.datasets.preparation import prepare
from segbench.files import write_json
from segbench.models.build import build_model
from segbench.models.network import Network
from segbench.models.weights import restore_network
from segbench.training import training as trainings
from segbench.training.curves import Epoch
from segbench.training.fit import seed_everything
from segbench.training.losses import loss_class_weights
from segbench.training.samples import AugmentedSamples
from segbench.training.training import Training, validation_mean_iou
from tests.parameters import PARAMETERS


class Untouched(Training):
    """A training of which only the key counts."""

    settings = {"lr": 0.1}  # type: ignore[assignment] # noqa: RUF012


def a_training() -> Training:
    nothing: Any = SimpleNamespace()
    return Untouched("scenes", "unet", 0, PARAMETERS, nothing, nothing)


def test_code_that_is_edited_while_a_training_runs_does_not_part_it_from_what_it_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainings, "checkpoint_folder", lambda key: tmp_path / key)
    monkeypatch.setattr(trainings, "training_key", lambda settings, sources: "before")
    training = a_training()
    folder = training.folder
    monkeypatch.setattr(trainings, "training_key", lambda settings, sources: "after")
    assert training.folder == folder
    assert a_training().folder != folder


def test_a_training_has_ended_when_all_that_it_leaves_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trainings, "checkpoint_folder", lambda key: tmp_path)
    training = a_training()
    assert not training.has_ended
    write_json(tmp_path / RECORD, {"diverged_in_epoch": None})
    assert not training.has_ended
    (tmp_path / WEIGHTS).touch()
    assert training.has_ended


def test_a_training_that_diverged_has_ended_without_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trainings, "checkpoint_folder", lambda key: tmp_path)
    (tmp_path / "last.ckpt").touch()
    write_json(tmp_path / RECORD, {"diverged_in_epoch": 2})
    assert a_training().has_ended


def record(*curve: float | None, diverged_in: int | None = None) -> dict[str, Any]:
    epochs = [{"epoch": epoch, "val_mean_iou": value} for epoch, value in enumerate(curve, start=1)]
    return {"epochs": epochs, "diverged_in_epoch": diverged_in}


@pytest.mark.parametrize(("checkpoint", "expected"), [("last", (0.5 + 0.3) / 2), ("best", (0.5 + 0.7) / 2)])
def test_the_validation_score_is_of_the_weights_that_are_kept(checkpoint: str, expected: float) -> None:
    records = [record(None, 0.4, None, 0.5), record(None, 0.7, 0.3), record(0.9, diverged_in=2)]
    assert validation_mean_iou(records, checkpoint=checkpoint) == pytest.approx(expected)


def test_without_epochs_there_is_no_validation_score() -> None:
    assert validation_mean_iou([record()], checkpoint="last") is None
    assert validation_mean_iou([record(0.9, diverged_in=2)], checkpoint="last") is None


def test_a_trainings_key_depends_on_its_settings_and_on_the_code_of_its_network(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found: dict[str, Any] = {}

    def spy(settings: dict[str, Any], sources: dict[str, str]) -> str:
        found.update(settings=settings, sources=sources)
        return "key"

    monkeypatch.setattr(trainings, "training_key", spy)
    assert a_training().key == "key"
    assert found["settings"] == {"lr": 0.1}
    assert {"src/segbench/models/unet.py", "src/segbench/training/fit.py"} <= found["sources"].keys()
    assert "src/segbench/models/pspnet.py" not in found["sources"]


def test_a_training_that_continues_elsewhere_names_both_machines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = scenes.open_source(seed=0, width_px=64, height_px=48, num_train=2, num_val=1, num_test=1)
    data = prepare(source, tmp_path / "prepared")
    write_augmented(Recipe(seed=0, copies=1, scale=0.5, crop_px=(24, 32), transforms=[]), data, tmp_path / "augmented")
    samples = AugmentedSamples(tmp_path / "augmented", data)
    monkeypatch.setattr(trainings, "checkpoint_folder", lambda key: tmp_path / key)
    training = Training("scenes", "sliding_window", 3, PARAMETERS, data, samples)

    def run(machine: str, *, is_killed: bool) -> list[str]:
        def fit(*arguments: Any, **options: Any) -> list[Epoch]:
            if is_killed:
                raise KeyboardInterrupt
            return []

        monkeypatch.setattr(trainings, "describe_machine", lambda: machine)
        monkeypatch.setattr(trainings, "fit", fit)
        with suppress(KeyboardInterrupt):
            training.run(print)
        return [] if is_killed else training.record["machines"]

    for machine in ("one", "one", "two"):
        run(machine, is_killed=True)
    assert run("one", is_killed=False) == ["one", "two"]
    (training.folder / "machines.json").write_text("damaged")
    assert run("three", is_killed=False) == ["three"]
    told = [{**training.record, "machines": machines} for machines in (["b"], ["a", "b"])]
    assert trainings.summary(told)["machines"] == ["b", "a"]


def test_a_training_fits_its_own_model_to_its_own_dataset_by_its_own_schedule(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = {"name": "resnet18", "weights": "none"}
    schedule = {"lr": 0.5, "class_weights": "inverse_frequency", "precision": "float32"}
    changes = {"backbone": params.Backbone(**own), "train_on": {"scenes": schedule}}
    model = PARAMETERS.model("fcn_32s").model_copy(update=changes)
    parameters = PARAMETERS.model_copy(update={"models": {"fcn_32s": model}})
    source = scenes.open_source(seed=0, width_px=64, height_px=48, num_train=2, num_val=1, num_test=1)
    data = prepare(source, tmp_path / "prepared")
    write_augmented(Recipe(seed=0, copies=1, scale=0.5, crop_px=(24, 32), transforms=[]), data, tmp_path / "augmented")
    samples = AugmentedSamples(tmp_path / "augmented", data)
    monkeypatch.setattr(trainings, "checkpoint_folder", lambda key: tmp_path / key)
    given: dict[str, Any] = {}

    def spy(*arguments: Any, **options: Any) -> list[Epoch]:
        given.update(options, arguments=arguments)
        return []

    monkeypatch.setattr(trainings, "fit", spy)
    training = Training("scenes", "fcn_32s", 3, parameters, data, samples)
    assert not training.has_ended
    training.run(print)
    network, given_samples, validation = given.pop("arguments")
    assert isinstance(network, Network) and given_samples is samples
    assert (validation.rows, validation.scale) == (data.split("val"), 0.5)
    class_weights = loss_class_weights("inverse_frequency", samples.class_pixels)
    assert class_weights is not None and torch.equal(given.pop("class_weights"), class_weights)
    assert given == {
        "schedule": parameters.train_for("scenes", "fcn_32s"), "seed": 3, "precision": "float32",
        "num_classes": len(data.classes), "checkpoints": training.folder, "on_epoch": print,
    }  # fmt: skip
    assert given["schedule"].lr == 0.5

    seed_everything(3)
    backbone, path = params.Backbone(**own), training.folder / WEIGHTS
    expected = build_model(model, backbone=backbone, num_classes=len(data.classes)).state_dict()
    restored = restore_network(model, backbone=backbone, num_classes=len(data.classes), path=path).state_dict()
    assert expected.keys() == restored.keys()
    assert all(torch.equal(tensor, restored[name]) for name, tensor in expected.items())
    assert training.has_ended
    assert (training.record["seed"], training.record["training_key"]) == (3, training.key)
    settings = training.settings
    assert settings["backbone"] == own and settings["train"]["lr"] == 0.5 and settings["train"]["seeds"] == [3]
    assert settings["samples"]["crop_px"] == (24, 32) and settings["dataset_fingerprint"] == data.fingerprint


def test_another_weights_file_of_the_same_name_is_another_training(tmp_path: Path) -> None:
    weights = tmp_path / "my.pth"
    backbone = params.Backbone.model_construct(name="resnet18", weights=str(weights))
    parameters = PARAMETERS.model_copy(update={"backbone": backbone})
    recipe = Recipe(seed=0, copies=1, scale=1.0, crop_px=(32, 32), transforms=[])
    data: Any = SimpleNamespace(fingerprint="scenes")
    samples: Any = SimpleNamespace(recipe=recipe)

    def key(content: bytes) -> str:
        weights.write_bytes(content)
        return Training("scenes", "unet", 0, parameters, data, samples).key

    assert key(b"some weights") == key(b"some weights") != key(b"other weights")
    training = Training("scenes", "unet", 0, parameters, data, samples)
    before = training.settings
    weights.write_bytes(b"replaced while it trains")
    assert training.settings == before
