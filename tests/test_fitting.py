"""Training: the schedule's parts, and that a seed fixes the weights, also across a kill."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from segbench import fitting, losses, metrics, params, zoo
from segbench.augmentation import Recipe, write_augmented
from segbench.datasets import scenes
from segbench.datasets.preparation import prepare
from segbench.errors import InputError
from segbench.inference import Predictor
from segbench.models.layers import LossTerm, Network
from segbench.samples import AugmentedSamples, WholeImages


def test_the_learning_rate_warms_up_and_decays_to_zero() -> None:
    factors = [fitting.learning_rate_factor(step, num_steps=100, warmup_steps=10, power=0.9) for step in range(101)]
    assert factors[0] == pytest.approx(1 / 11)
    assert all(a < b for a, b in pairwise(factors[:11]))
    assert factors[10] == 1
    assert factors[55] == pytest.approx(0.5**0.9)
    assert factors[100] == 0


def test_class_weights_by_hand() -> None:
    # Two images of 100 pixels: class 0 has 150, class 1 has 50 (all in the second), class 2 has none.
    class_pixels = np.array([[100, 0, 0], [50, 50, 0]])
    inverse = fitting.class_weights("inverse_frequency", class_pixels)
    median = fitting.class_weights("median_frequency", class_pixels)
    assert inverse is not None and median is not None
    np.testing.assert_allclose(inverse, np.array([200 / 150, 200 / 50, 0]) / (16 / 6), rtol=1e-6)
    np.testing.assert_allclose(median, np.array([200 / 150, 100 / 50, 0]) / (10 / 6), rtol=1e-6)
    assert fitting.class_weights("none", class_pixels) is None


def test_precision_follows_the_hardware_unless_forced() -> None:
    capabilities = torch.cpu.get_capabilities()
    has_bfloat16 = capabilities.get("amx_tile") or capabilities.get("avx512_bf16")
    assert fitting.choose_precision("auto", "cpu") == ("bfloat16_dense" if has_bfloat16 else "float32")
    assert fitting.choose_precision("auto", "mps") == "float32"
    assert fitting.choose_precision("bfloat16", "cpu") == "bfloat16"
    with pytest.raises(InputError, match="precision is float16; on a CPU"):
        fitting.choose_precision("float16", "cpu")


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_gpu_that_is_not_there_is_refused() -> None:
    with pytest.raises(InputError, match="accelerator is gpu; this machine has none"):
        fitting.device_type("gpu")


def test_depthwise_convolutions_stay_in_float32_under_autocast() -> None:
    dense, depthwise = nn.Conv2d(4, 4, 3), nn.Conv2d(4, 4, 3, groups=4)
    model = nn.Sequential(dense, depthwise)
    fitting.keep_depthwise_in_float32(model)
    seen: dict[nn.Module, torch.dtype] = {}
    for layer in model:
        layer.register_forward_hook(lambda module, _, output: seen.update({module: output.dtype}))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        model(torch.rand(1, 4, 8, 8))
    assert seen == {dense: torch.bfloat16, depthwise: torch.float32}


def test_atrous_depthwise_convolutions_are_subsampled_and_nothing_else_is() -> None:
    atrous = nn.Conv2d(4, 4, 5, padding=8, dilation=4, groups=4)
    others = [nn.Conv2d(4, 4, 3, padding=2, dilation=2), nn.Conv2d(4, 4, 5, padding=2, groups=4)]
    x = torch.rand(1, 4, 13, 10)
    expected = atrous(x)
    fitting.subsample_atrous_depthwise(nn.Sequential(atrous, *others))
    assert ["forward" in vars(layer) for layer in (atrous, *others)] == [True, False, False]
    torch.testing.assert_close(atrous(x), expected)


class TwoHeads(Network):
    """A network whose auxiliary head counts 0.4."""

    def loss_terms(self, images: Tensor, label_maps: Tensor) -> list[LossTerm]:
        return [LossTerm(images[:, :2], label_maps, 1.0), LossTerm(images[:, 1:], label_maps, 0.4)]


def test_every_head_has_the_schedules_loss() -> None:
    terms: dict[params.LossName, float] = {"cross_entropy": 0.5, "dice": 2.0}
    schedule = params.load(Path(__file__).parent.parent / "params.yaml").train.model_copy(update={"loss": terms})
    class_weights = torch.tensor([0.5, 1.5])
    task = fitting.Task(TwoHeads(), schedule, seed=0, num_classes=2, weights=class_weights)
    images, label_maps = torch.randint(256, (2, 3, 8, 8)).byte(), torch.randint(2, (2, 8, 8)).byte()
    last, auxiliary = (
        losses.weighted_sum(logits / 255, label_maps, terms=terms, class_weights=class_weights)
        for logits in (images[:, :2].float(), images[:, 1:].float())
    )
    torch.testing.assert_close(task.training_step((images, label_maps), 0), last + 0.4 * auxiliary)


TRAINING = textwrap.dedent(
    """
    import sys, time
    from pathlib import Path
    import torch
    from segbench import fitting, params, zoo
    from segbench.augmentation import Recipe, write_augmented
    from segbench.datasets import scenes
    from segbench.datasets.preparation import prepare
    from segbench.samples import AugmentedSamples, WholeImages

    root, folder, slow = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3] == "slow"
    parameters = params.load(Path("params.yaml"))
    source = scenes.open_source(seed=0, width_px=64, height_px=48, num_images={"train": 8, "val": 2, "test": 1})
    data = prepare(source, folder / "prepared")
    recipe = Recipe(seed=0, copies=2, scale=1.0, crop_px=(48, 64), transforms=[{"HorizontalFlip": {"p": 0.5}}])
    write_augmented(recipe, data, folder / "augmented")
    fitting.seed_everything(0)
    network = zoo.build(parameters.model("fcn_8s"), backbone=parameters.backbone, num_classes=len(data.classes))
    rows = fitting.fit(
        network, AugmentedSamples(folder / "augmented", data), WholeImages(data, "val", scale=1.0),
        schedule=parameters.train.model_copy(update={"batch_size": 4, "epochs": 4}), seed=0,
        precision="float32", weights=None, num_classes=len(data.classes), checkpoints=root,
        on_epoch=lambda row: time.sleep(60 if slow and row.epoch == 3 else 0),
    )
    zoo.save(network, folder / "weights.pt")
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


def test_a_kill_while_a_checkpoint_is_written_leaves_the_one_before(tmp_path: Path) -> None:
    class Unwritable:
        def __reduce__(self) -> str:
            raise KeyboardInterrupt

    writer = fitting.WholeCheckpoints()
    writer.save_checkpoint({"epoch": 1}, tmp_path / "last.ckpt")
    with pytest.raises(KeyboardInterrupt):
        writer.save_checkpoint({"epoch": 2, "state": [torch.rand(1000), Unwritable()]}, str(tmp_path / "last.ckpt"))
    assert writer.load_checkpoint(tmp_path / "last.ckpt") == {"epoch": 1}


def test_fewer_images_than_devices_are_refused(tmp_path: Path) -> None:
    parameters = params.load(Path(__file__).parent.parent / "params.yaml")
    source = scenes.open_source(seed=0, width_px=64, height_px=48, num_images={"train": 1, "val": 1, "test": 1})
    data = prepare(source, tmp_path / "prepared")
    write_augmented(Recipe(seed=0, copies=1, scale=1.0, crop_px=(48, 64), transforms=[]), data, tmp_path / "augmented")
    network = zoo.build(parameters.model("fcn_32s"), backbone=parameters.backbone, num_classes=len(data.classes))
    assert isinstance(network, Network)
    with pytest.raises(InputError, match=r"train\.devices are 2, but the training split has 1 images"):
        fitting.fit(
            network, AugmentedSamples(tmp_path / "augmented", data), WholeImages(data, "val", scale=1.0),
            schedule=parameters.train.model_copy(update={"accelerator": "cpu", "devices": 2}), seed=0,
            precision="float32", weights=None, num_classes=len(data.classes), checkpoints=tmp_path / "checkpoints",
            on_epoch=lambda row: None,
        )  # fmt: skip


def test_stored_and_made_samples_train_the_same_network(tmp_path: Path) -> None:
    """Bit for bit, also when other processes make them, and with images drawn for their rare classes."""
    parameters = params.load(Path(__file__).parent.parent / "params.yaml")
    source = scenes.open_source(seed=0, width_px=64, height_px=48, num_images={"train": 8, "val": 1, "test": 1})
    data = prepare(source, tmp_path / "prepared")
    curves, weights = [], []
    for copies, workers in ((2, 0), (0, 0), (0, 2)):
        folder = tmp_path / f"{copies}_{workers}"
        transforms = parameters.augment.transforms
        write_augmented(Recipe(seed=0, copies=copies, scale=1.0, crop_px=(48, 64), transforms=transforms), data, folder)
        schedule = {"batch_size": 4, "epochs": 2, "loader_workers": workers, "rare_class_sampling": 0.5}
        fitting.seed_everything(0)
        network = zoo.build(parameters.model("fcn_32s"), backbone=parameters.backbone, num_classes=len(data.classes))
        assert isinstance(network, Network)
        rows = fitting.fit(
            network, AugmentedSamples(folder, data), WholeImages(data, "val", scale=1.0),
            schedule=parameters.train.model_copy(update=schedule), seed=0, precision="float32", weights=None,
            num_classes=len(data.classes), checkpoints=folder / "checkpoints", on_epoch=lambda row: None,
        )  # fmt: skip
        curves.append([row.train_loss for row in rows])
        weights.append(network.state_dict())
    assert curves[0] == curves[1] == curves[2]
    for others in weights[1:]:
        assert all(torch.equal(others[name], tensor) for name, tensor in weights[0].items())


def test_the_last_epoch_is_validated_too_and_the_best_checkpoint_is_the_best_of_all(tmp_path: Path) -> None:
    parameters = params.load(Path(__file__).parent.parent / "params.yaml")
    source = scenes.open_source(seed=0, width_px=64, height_px=48, num_images={"train": 8, "val": 3, "test": 1})
    data = prepare(source, tmp_path / "prepared")
    write_augmented(Recipe(seed=0, copies=1, scale=1.0, crop_px=(48, 64), transforms=[]), data, tmp_path / "augmented")
    fitting.seed_everything(0)
    network = zoo.build(parameters.model("fcn_8s"), backbone=parameters.backbone, num_classes=len(data.classes))
    assert isinstance(network, Network)
    rows = fitting.fit(
        network, AugmentedSamples(tmp_path / "augmented", data), WholeImages(data, "val", scale=1.0),
        schedule=parameters.train.model_copy(
            update={"batch_size": 4, "checkpoint": "best", "lr": 0.02, "epochs": 5, "validate_every_epochs": 2}
        ),
        seed=0, precision="float32", weights=None, num_classes=len(data.classes),
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
    assert metrics.scores(np.asarray(confusion)).mean_iou == pytest.approx(best, abs=1e-3)
