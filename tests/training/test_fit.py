"""Training: the schedule's parts, and that a seed fixes the weights, also across a kill."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from segbench.augment.stream import Recipe, write_augmented
from segbench.augment.transforms import Transform
from segbench.datasets import scenes
from segbench.datasets.preparation import prepare
from segbench.datasets.prepared import Prepared
from segbench.errors import InputError
from segbench.models.build import build_model
from segbench.models.network import LossTerm, Network
from segbench.params import LossName
from segbench.prediction.predictor import Predictor
from segbench.scoring import metrics
from segbench.training.curves import Epoch
from segbench.training.depthwise import CompiledDepthwise
from segbench.training.divergence import DivergenceError
from segbench.training.fit import fit, seed_everything
from segbench.training.losses import weighted_sum
from segbench.training.precision import Precision
from segbench.training.samples import AugmentedSamples, EpochSampler, WholeImages
from tests.parameters import PARAMETERS, PROJECT
from tests.untrusted import MakesFolder


def some_data(folder: Path, *, num_train: int, num_val: int = 1) -> Prepared:
    """Scenes of 64x48 px."""
    source = scenes.open_source(seed=0, width_px=64, height_px=48, num_train=num_train, num_val=num_val, num_test=1)
    return prepare(source, folder / "prepared")


def some_samples(
    data: Prepared, folder: Path, *, copies: int = 1, transforms: list[Transform] | None = None
) -> AugmentedSamples:
    """Of whole images, as they are unless there are transforms."""
    recipe = Recipe(seed=0, copies=copies, scale=1.0, crop_px=(48, 64), transforms=transforms or [])
    write_augmented(recipe, data, folder / "augmented")
    return AugmentedSamples(folder / "augmented", data)


def a_network(model: str, data: Prepared) -> Network:
    seed_everything(0)
    network = build_model(PARAMETERS.model(model), backbone=PARAMETERS.backbone, num_classes=len(data.classes))
    assert isinstance(network, Network)
    return network


def train(
    network: Network, samples: AugmentedSamples, data: Prepared, checkpoints: Path, *, schedule: Mapping[str, object],
    precision: Precision = "float32", class_weights: Tensor | None = None,
    on_epoch: Callable[[Epoch], None] = lambda row: None,
) -> list[Epoch]:  # fmt: skip
    """`fit` with seed 0 by the common schedule and what differs from it."""
    return fit(
        network, samples, WholeImages(data, "val", scale=1.0),
        schedule=PARAMETERS.train.model_copy(update=schedule), seed=0, precision=precision,
        class_weights=class_weights, num_classes=len(data.classes), checkpoints=checkpoints, on_epoch=on_epoch,
    )  # fmt: skip


def train_four_epochs(
    folder: Path, checkpoints: Path, on_epoch: Callable[[Epoch], None], **schedule: object
) -> dict[str, Tensor]:
    """The weights that a training of the tests below gives."""
    data = some_data(folder, num_train=8, num_val=2)
    samples = some_samples(data, folder, copies=2, transforms=[{"HorizontalFlip": {"p": 0.5}}])
    network = a_network("fcn_8s", data)
    how = {"batch_size": 4, "epochs": 4, **schedule}
    rows = train(network, samples, data, checkpoints, schedule=how, on_epoch=on_epoch)
    assert [row.epoch for row in rows] == [1, 2, 3, 4]
    return network.state_dict()


def train_until_killed() -> None:
    """The same in a process of its own, which waits before it writes the third epoch's checkpoint."""
    folder, checkpoints, num_threads = sys.argv[1:]
    torch.set_num_threads(int(num_threads))
    train_four_epochs(Path(folder), Path(checkpoints), lambda row: time.sleep(600 if row.epoch == 3 else 0))


def test_the_same_seed_gives_the_same_weights_also_after_sigkill(tmp_path: Path) -> None:
    unbroken = train_four_epochs(tmp_path / "unbroken", tmp_path / "all", lambda row: None)
    killed = subprocess.Popen(
        [
            sys.executable, "-c", "from tests.training.test_fit import train_until_killed; train_until_killed()",
            str(tmp_path / "killed"), str(tmp_path / "some"), str(torch.get_num_threads()),
        ],
        cwd=PROJECT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert killed.stdout is not None
    output = []
    for line in killed.stdout:
        output.append(line)
        if line.startswith("epoch 3/4"):
            break
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait()
    assert [path.name for path in (tmp_path / "some").glob("*.ckpt")] == ["last.ckpt"], "".join(output)
    resumed_epochs: list[int] = []
    resumed = train_four_epochs(tmp_path / "resumed", tmp_path / "some", lambda row: resumed_epochs.append(row.epoch))
    assert resumed_epochs == [3, 4]
    assert unbroken.keys() == resumed.keys()
    for name, tensor in unbroken.items():
        assert torch.equal(tensor, resumed[name]), name


class Killed(Exception):  # noqa: N818 -- nothing has gone wrong in the training
    """Stands for a kill, after which only files are left."""


def test_the_best_weights_are_kept_when_the_project_was_moved_meanwhile(tmp_path: Path) -> None:
    """The folder moves after the second of four epochs; a rate that is far too high lets the best one be before."""

    def stop_in_the_third(row: Epoch) -> None:
        if row.epoch == 3:
            raise Killed

    for lr in (0.05, 0.2, 1.0, 3.0, 0.5, 0.02):
        schedule = {"checkpoint": "best", "validate_every_epochs": 1, "warmup_epochs": 0, "lr": lr}
        rows: list[Epoch] = []
        unbroken = train_four_epochs(tmp_path / f"{lr}", tmp_path / f"{lr}" / "all", rows.append, **schedule)
        if max(rows, key=lambda row: row.val_mean_iou or 0).epoch < 3:
            break
    else:
        pytest.fail("no rate has its best epoch before the move")
    with pytest.raises(Killed):
        train_four_epochs(tmp_path / "killed", tmp_path / "some", stop_in_the_third, **schedule)
    (tmp_path / "some").rename(tmp_path / "moved")
    resumed = train_four_epochs(tmp_path / "resumed", tmp_path / "moved", lambda row: None, **schedule)
    for name, tensor in unbroken.items():
        assert torch.equal(tensor, resumed[name]), name


def stage_that_waits(*, folder: Path, checkpoints: Path) -> None:
    """The main of a stage that trains, and waits after the second epoch."""
    train_four_epochs(folder, checkpoints, lambda row: time.sleep(600 if row.epoch == 2 else 0))


def test_a_training_that_is_told_to_end_is_not_taken_for_finished(tmp_path: Path) -> None:
    """Lightning alone ends with exit code 0, by which DVC would take the weights as they are."""
    code = "from pipeline.command import run; from tests.training.test_fit import stage_that_waits as m; run(m)"
    stage = subprocess.Popen(
        [sys.executable, "-c", code, "--folder", str(tmp_path / "a"), "--checkpoints", str(tmp_path / "b")],
        cwd=PROJECT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert stage.stdout is not None
    for line in stage.stdout:
        if line.startswith("epoch 2/4"):
            break
    stage.terminate()
    assert stage.wait() == 128 + signal.SIGTERM
    assert (tmp_path / "b/last.ckpt").exists()


def test_training_stops_at_the_first_loss_that_is_not_finite(tmp_path: Path) -> None:
    """Of forty steps, few are taken, and no checkpoint is written of the epoch."""
    data = some_data(tmp_path, num_train=8)
    network = a_network("fcn_32s", data)
    are_finite = []
    term = network.loss_terms

    def counted(images: Tensor, label_maps: Tensor) -> list[LossTerm]:
        terms = term(images, label_maps)
        are_finite.append(all(bool(logits.isfinite().all()) for logits, _, _ in terms))
        return terms

    network.loss_terms = counted  # type: ignore[method-assign]
    schedule = {"lr": 1e6, "gradient_clip_norm": None, "warmup_epochs": 0, "batch_size": 2, "epochs": 10}
    with pytest.raises(DivergenceError) as raised:
        train(network, some_samples(data, tmp_path), data, tmp_path / "checkpoints", schedule=schedule)
    assert 1 < len(are_finite) < 20
    assert are_finite == [True] * (len(are_finite) - 1) + [False], "no step after the first that is not finite"
    assert raised.value.epoch == -(-len(are_finite) // 4)
    assert [row.epoch for row in raised.value.rows] == list(range(1, raised.value.epoch))
    assert all(np.isfinite(row.train_loss) for row in raised.value.rows)
    assert (tmp_path / "checkpoints/last.ckpt").exists() == (raised.value.epoch > 1)


def test_a_step_that_ruins_the_weights_at_the_end_is_seen_by_validation(tmp_path: Path) -> None:
    data = some_data(tmp_path, num_train=2)
    schedule = {
        "lr": 1e30, "gradient_clip_norm": None, "warmup_epochs": 0, "batch_size": 2, "epochs": 1, "checkpoint": "best",
    }  # fmt: skip
    with pytest.raises(DivergenceError, match="in epoch 1"):
        train(a_network("fcn_32s", data), some_samples(data, tmp_path), data, tmp_path / "some", schedule=schedule)
    assert not list((tmp_path / "some").glob("*.ckpt"))


def test_fewer_images_than_devices_are_refused(tmp_path: Path) -> None:
    data = some_data(tmp_path, num_train=1)
    with pytest.raises(InputError, match=r"train\.devices are 2, but the training split has 1 images"):
        train(
            a_network("fcn_32s", data), some_samples(data, tmp_path), data, tmp_path / "checkpoints",
            schedule={"accelerator": "cpu", "devices": 2},
        )  # fmt: skip


def test_stored_and_made_samples_train_the_same_network(tmp_path: Path) -> None:
    """Bit for bit, also when other processes make them, and with images drawn for their rare classes."""
    data = some_data(tmp_path, num_train=8)
    curves, states = [], []
    for copies, workers in ((2, 0), (0, 0), (0, 2)):
        folder = tmp_path / f"{copies}_{workers}"
        samples = some_samples(data, folder, copies=copies, transforms=PARAMETERS.augment.transforms)
        network = a_network("fcn_32s", data)
        schedule = {"batch_size": 4, "epochs": 2, "loader_workers": workers, "rare_class_sampling": 0.5}
        rows = train(network, samples, data, folder / "checkpoints", schedule=schedule)
        curves.append([row.train_loss for row in rows])
        states.append(network.state_dict())
    assert curves[0] == curves[1] == curves[2]
    for others in states[1:]:
        assert all(torch.equal(others[name], tensor) for name, tensor in states[0].items())


def test_the_last_epoch_is_validated_too_and_the_best_checkpoint_is_the_best_of_all(tmp_path: Path) -> None:
    data = some_data(tmp_path, num_train=8, num_val=3)
    network = a_network("fcn_8s", data)
    schedule = {"batch_size": 4, "checkpoint": "best", "lr": 0.02, "epochs": 5, "validate_every_epochs": 2}
    rows = train(network, some_samples(data, tmp_path), data, tmp_path / "checkpoints", schedule=schedule)
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
    data = some_data(tmp_path, num_train=2)
    network = a_network("fcn_32s", data)
    before = [parameter.detach().double() for parameter in network.parameters()]
    schedule = {
        "batch_size": 2, "epochs": 1, "optimizer": "sgd", "lr": 0.5, "backbone_lr_factor": 1, "momentum": 0.0,
        "weight_decay": 0.0, "warmup_epochs": 0, "gradient_clip_norm": 0.25, "loss": {"cross_entropy": 1e6},
    }  # fmt: skip
    train(network, some_samples(data, tmp_path), data, tmp_path / "checkpoints", schedule=schedule)
    moved = [now.detach().double() - then for now, then in zip(network.parameters(), before, strict=True)]
    distance = torch.cat([change.flatten() for change in moved]).norm()
    assert float(distance) == pytest.approx(0.5 * 0.25, rel=1e-3)


class TwoLayers(Network):
    """A dense and a depthwise convolution, and the number formats that they computed in while training."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.dense = nn.Conv2d(3, num_classes, 1)
        self.depthwise = nn.Conv2d(num_classes, num_classes, 3, padding=1, groups=num_classes, bias=False)
        self.formats: dict[str, torch.dtype] = {}

    def logits(self, images: Tensor) -> Tensor:
        dense = self.dense(images)
        scores: Tensor = self.depthwise(dense)
        if self.training:
            self.formats = {"dense": dense.dtype, "depthwise": scores.dtype}
        return scores


@pytest.mark.parametrize(
    ("precision", "number_format", "depthwise_layer"),
    [("float32", torch.float32, nn.Conv2d), ("bfloat16", torch.bfloat16, CompiledDepthwise)],
)
def test_layers_train_in_the_number_format_of_the_precision_and_depthwise_ones_compiled(
    precision: Precision, number_format: torch.dtype, depthwise_layer: type[nn.Module], tmp_path: Path
) -> None:
    data = some_data(tmp_path, num_train=2)
    network = TwoLayers(len(data.classes))
    train(
        network, some_samples(data, tmp_path), data, tmp_path / "checkpoints", precision=precision,
        schedule={"epochs": 1, "accelerator": "cpu"},
    )  # fmt: skip
    assert network.formats == {"dense": number_format, "depthwise": number_format}
    assert type(network.depthwise) is depthwise_layer


@pytest.mark.parametrize("rare_share", [0.0, 1.0])
def test_the_first_steps_loss_is_that_of_the_samplers_batch(rare_share: float, tmp_path: Path) -> None:
    data = some_data(tmp_path, num_train=4)
    samples = some_samples(data, tmp_path)
    torch.manual_seed(0)
    network = TwoLayers(len(data.classes))
    class_weights = torch.linspace(0, 2, len(data.classes))
    terms: dict[LossName, float] = {"cross_entropy": 0.5, "dice": 2.0}
    sampler = EpochSampler(samples.class_pixels, seed=0, epochs=1, rare_share=rare_share)
    images, label_maps = map(torch.stack, zip(*(samples[position] for position in sampler), strict=True))
    with torch.no_grad():
        expected = weighted_sum(network(images / 255), label_maps, terms=terms, class_weights=class_weights)
    schedule = {
        "batch_size": 4, "epochs": 1, "loss": terms, "rare_class_sampling": rare_share, "accelerator": "cpu",
    }  # fmt: skip
    rows = train(
        network, samples, data, tmp_path / "checkpoints", schedule=schedule, class_weights=class_weights
    )  # fmt: skip
    assert rows[0].train_loss == pytest.approx(float(expected), rel=1e-4)


def test_a_checkpoint_that_would_run_something_is_refused(tmp_path: Path) -> None:
    data = some_data(tmp_path, num_train=2)
    last = tmp_path / "checkpoints/last.ckpt"
    last.parent.mkdir()
    torch.save({"state_dict": MakesFolder(tmp_path / "made")}, last)
    with pytest.raises(InputError, match=r"last\.ckpt: holds more than a training's state"):
        train(a_network("fcn_32s", data), some_samples(data, tmp_path), data, last.parent, schedule={"epochs": 1})
    assert not (tmp_path / "made").exists()
