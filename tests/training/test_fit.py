"""Training: the schedule's parts, and that a seed fixes the weights, also across a kill."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from segbench.augment.stream import Recipe, write_augmented
from segbench.datasets import scenes
from segbench.datasets.preparation import prepare
from segbench.errors import InputError
from segbench.models.build import build_model
from segbench.models.network import Network
from segbench.prediction.predictor import Predictor
from segbench.scoring import metrics
from segbench.training.fit import fit, seed_everything
from segbench.training.samples import AugmentedSamples, WholeImages
from tests.parameters import PARAMETERS

TRAINING = textwrap.dedent(
    """
    import sys, time
    from pathlib import Path
    import torch
    from segbench import params
    from segbench.training.fit import fit, seed_everything
    from segbench.models.build import build_model
    from segbench.models.weights import save_weights
    from segbench.augment.stream import Recipe, write_augmented
    from segbench.datasets import scenes
    from segbench.datasets.preparation import prepare
    from segbench.training.samples import AugmentedSamples, WholeImages

    root, folder, slow = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3] == "slow"
    parameters = params.load(Path("tests/params.yaml"))
    source = scenes.open_source(seed=0, width_px=64, height_px=48, num_train=8, num_val=2, num_test=1)
    data = prepare(source, folder / "prepared")
    recipe = Recipe(seed=0, copies=2, scale=1.0, crop_px=(48, 64), transforms=[{"HorizontalFlip": {"p": 0.5}}])
    write_augmented(recipe, data, folder / "augmented")
    seed_everything(0)
    network = build_model(parameters.model("fcn_8s"), backbone=parameters.backbone, num_classes=len(data.classes))
    rows = fit(
        network, AugmentedSamples(folder / "augmented", data), WholeImages(data, "val", scale=1.0),
        schedule=parameters.train.model_copy(update={"batch_size": 4, "epochs": 4}), seed=0,
        precision="float32", class_weights=None, num_classes=len(data.classes), checkpoints=root,
        on_epoch=lambda row: time.sleep(60 if slow and row.epoch == 3 else 0),
    )
    save_weights(network, folder / "weights.pt")
    print([row.epoch for row in rows])
    """
)


def _train(checkpoints: Path, folder: Path, speed: str = "fast") -> subprocess.Popen[str]:
    command = [sys.executable, "-c", TRAINING, str(checkpoints), str(folder), speed]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def test_the_same_seed_gives_the_same_weights_also_after_sigkill(tmp_path: Path) -> None:
    unbroken = _train(tmp_path / "a", tmp_path / "one").communicate()[0]
    assert unbroken.splitlines()[-1] == "[1, 2, 3, 4]"
    killed = _train(tmp_path / "b", tmp_path / "two", "slow")
    assert killed.stdout is not None
    for line in killed.stdout:
        if line.startswith("epoch 3/4"):  # it now sleeps before epoch 3's checkpoint is written
            break
    time.sleep(0.2)
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait()
    resumed = _train(tmp_path / "b", tmp_path / "two").communicate()[0]
    epochs = [line.split()[1] for line in resumed.splitlines() if line.startswith("epoch ")]
    assert epochs == ["3/4", "4/4"], resumed
    assert resumed.splitlines()[-1] == "[1, 2, 3, 4]"
    weights = [torch.load(tmp_path / name / "weights.pt", weights_only=True) for name in ("one", "two")]
    assert weights[0].keys() == weights[1].keys()
    for name, tensor in weights[0].items():
        assert torch.equal(tensor, weights[1][name]), name


def test_fewer_images_than_devices_are_refused(tmp_path: Path) -> None:
    parameters = PARAMETERS
    source = scenes.open_source(seed=0, width_px=64, height_px=48, num_train=1, num_val=1, num_test=1)
    data = prepare(source, tmp_path / "prepared")
    write_augmented(Recipe(seed=0, copies=1, scale=1.0, crop_px=(48, 64), transforms=[]), data, tmp_path / "augmented")
    network = build_model(parameters.model("fcn_32s"), backbone=parameters.backbone, num_classes=len(data.classes))
    assert isinstance(network, Network)
    with pytest.raises(InputError, match=r"train\.devices are 2, but the training split has 1 images"):
        fit(
            network, AugmentedSamples(tmp_path / "augmented", data), WholeImages(data, "val", scale=1.0),
            schedule=parameters.train.model_copy(update={"accelerator": "cpu", "devices": 2}), seed=0,
            precision="float32", class_weights=None, num_classes=len(data.classes),
            checkpoints=tmp_path / "checkpoints", on_epoch=lambda row: None,
        )  # fmt: skip


def test_stored_and_made_samples_train_the_same_network(tmp_path: Path) -> None:
    """Bit for bit, also when other processes make them, and with images drawn for their rare classes."""
    parameters = PARAMETERS
    source = scenes.open_source(seed=0, width_px=64, height_px=48, num_train=8, num_val=1, num_test=1)
    data = prepare(source, tmp_path / "prepared")
    curves, weights = [], []
    for copies, workers in ((2, 0), (0, 0), (0, 2)):
        folder = tmp_path / f"{copies}_{workers}"
        transforms = parameters.augment.transforms
        write_augmented(Recipe(seed=0, copies=copies, scale=1.0, crop_px=(48, 64), transforms=transforms), data, folder)
        schedule = {"batch_size": 4, "epochs": 2, "loader_workers": workers, "rare_class_sampling": 0.5}
        seed_everything(0)
        network = build_model(parameters.model("fcn_32s"), backbone=parameters.backbone, num_classes=len(data.classes))
        assert isinstance(network, Network)
        rows = fit(
            network, AugmentedSamples(folder, data), WholeImages(data, "val", scale=1.0),
            schedule=parameters.train.model_copy(update=schedule), seed=0, precision="float32", class_weights=None,
            num_classes=len(data.classes), checkpoints=folder / "checkpoints", on_epoch=lambda row: None,
        )  # fmt: skip
        curves.append([row.train_loss for row in rows])
        weights.append(network.state_dict())
    assert curves[0] == curves[1] == curves[2]
    for others in weights[1:]:
        assert all(torch.equal(others[name], tensor) for name, tensor in weights[0].items())


def test_the_last_epoch_is_validated_too_and_the_best_checkpoint_is_the_best_of_all(tmp_path: Path) -> None:
    parameters = PARAMETERS
    source = scenes.open_source(seed=0, width_px=64, height_px=48, num_train=8, num_val=3, num_test=1)
    data = prepare(source, tmp_path / "prepared")
    write_augmented(Recipe(seed=0, copies=1, scale=1.0, crop_px=(48, 64), transforms=[]), data, tmp_path / "augmented")
    seed_everything(0)
    network = build_model(parameters.model("fcn_8s"), backbone=parameters.backbone, num_classes=len(data.classes))
    assert isinstance(network, Network)
    rows = fit(
        network, AugmentedSamples(tmp_path / "augmented", data), WholeImages(data, "val", scale=1.0),
        schedule=parameters.train.model_copy(
            update={"batch_size": 4, "checkpoint": "best", "lr": 0.02, "epochs": 5, "validate_every_epochs": 2}
        ),
        seed=0, precision="float32", class_weights=None, num_classes=len(data.classes),
        checkpoints=tmp_path / "checkpoints", on_epoch=lambda row: None,
    )  # fmt: skip
    assert [row.epoch for row in rows if row.val_mean_iou is not None] == [2, 4, 5]
    predictor = Predictor(network, scale=1.0)
    assert not torch.backends.cudnn.allow_tf32  # the test protocol is float32, on every device
    confusion = sum(
        metrics.confusion_matrix(
            truth=data.label_map(row), predicted=predictor.label_map(data.image(row)), num_classes=len(data.classes)
        )
        for row in data.split("val")
    )
    best = max(row.val_mean_iou or 0 for row in rows)
    assert metrics.compute_scores(np.asarray(confusion)).mean_iou == pytest.approx(best, abs=1e-3)


def test_a_step_is_no_longer_than_its_clipped_gradient(tmp_path: Path) -> None:
    """One step of plain SGD with a loss a million times as steep: the weights move by the rate times the norm."""
    parameters = PARAMETERS
    source = scenes.open_source(seed=0, width_px=64, height_px=48, num_train=2, num_val=1, num_test=1)
    data = prepare(source, tmp_path / "prepared")
    write_augmented(Recipe(seed=0, copies=1, scale=1.0, crop_px=(48, 64), transforms=[]), data, tmp_path / "augmented")
    schedule = {
        "batch_size": 2, "epochs": 1, "optimizer": "sgd", "lr": 0.5, "backbone_lr_factor": 1, "momentum": 0.0,
        "weight_decay": 0.0, "warmup_epochs": 0, "gradient_clip_norm": 0.25, "loss": {"cross_entropy": 1e6},
    }  # fmt: skip
    seed_everything(0)
    network = build_model(parameters.model("fcn_32s"), backbone=parameters.backbone, num_classes=len(data.classes))
    assert isinstance(network, Network)
    before = [parameter.detach().double() for parameter in network.parameters()]
    fit(
        network, AugmentedSamples(tmp_path / "augmented", data), WholeImages(data, "val", scale=1.0),
        schedule=parameters.train.model_copy(update=schedule), seed=0, precision="float32", class_weights=None,
        num_classes=len(data.classes), checkpoints=tmp_path / "checkpoints", on_epoch=lambda row: None,
    )  # fmt: skip
    moved = [now.detach().double() - then for now, then in zip(network.parameters(), before, strict=True)]
    distance = torch.cat([change.flatten() for change in moved]).norm()
    assert float(distance) == pytest.approx(0.5 * 0.25, rel=1e-3)
