"""Several processes: who started them, who writes, and that they train what one process trains."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.fabric.plugins.environments import LightningEnvironment, SLURMEnvironment, TorchElasticEnvironment
from timm.layers import BatchNormAct2d
from torch import Tensor, nn

from segbench import params
from segbench.datasets.prepared import Prepared
from segbench.errors import InputError
from segbench.labels import IGNORE_INDEX
from segbench.models.build import build_model
from segbench.models.network import Network
from segbench.training.fit import fit, seed_everything
from segbench.training.processes import (
    SynchronisedBatchNorm,
    check_processes,
    cluster_environment,
    is_first_process,
    share_of_batch,
    wait_for_all,
)
from segbench.training.samples import AugmentedSamples, WholeImages
from tests.parameters import PARAMETERS, PROJECT
from tests.training.test_fit import some_data, some_samples

IN_ALLOCATION = {"SLURM_JOB_ID": "7", "SLURM_NTASKS": "4", "SLURM_NTASKS_PER_NODE": "2", "SLURM_NNODES": "2"}
IN_STEP = {**IN_ALLOCATION, "SLURM_STEP_ID": "0", "SLURM_STEP_NUM_TASKS": "4"}
FIRST_TASK = {"SLURM_PROCID": "0", "SLURM_LOCALID": "0", "SLURM_NODEID": "0"}
OF_TORCHRUN = {"TORCHELASTIC_RUN_ID": "none", "WORLD_SIZE": "4", "MASTER_ADDR": "one", "MASTER_PORT": "1"}
OF_SCHEDULERS = ("SLURM_", "TORCHELASTIC_", "LSB_", "JSM_", "OMPI_", "PMI_")


@pytest.fixture(autouse=True)
def outside_of_clusters(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("RANK", "LOCAL_RANK", "NODE_RANK", "GROUP_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
    for name in os.environ:
        if name.startswith(OF_SCHEDULERS) or name in names:
            monkeypatch.delenv(name)


@pytest.mark.parametrize(
    ("variables", "kind", "is_first"),
    [
        ({}, LightningEnvironment, True),
        ({"LOCAL_RANK": "1"}, LightningEnvironment, False),  # as Lightning starts its second process
        ({"LOCAL_RANK": "0", "NODE_RANK": "1"}, LightningEnvironment, False),
        (IN_ALLOCATION, LightningEnvironment, True),  # of salloc, before any srun
        ({**IN_ALLOCATION, "SLURM_NTASKS": "1"}, LightningEnvironment, True),
        ({**IN_ALLOCATION, **FIRST_TASK}, LightningEnvironment, True),  # of a batch script
        ({**IN_ALLOCATION, **FIRST_TASK, "SLURM_STEP_NUM_TASKS": "1"}, LightningEnvironment, True),  # salloc's shell
        ({**IN_STEP, **FIRST_TASK}, SLURMEnvironment, True),
        ({**IN_STEP, **FIRST_TASK, "SLURM_JOB_NAME": "interactive"}, SLURMEnvironment, True),
        ({**IN_STEP, "SLURM_PROCID": "1", "SLURM_LOCALID": "1", "SLURM_NODEID": "0"}, SLURMEnvironment, False),
        ({**IN_STEP, "SLURM_PROCID": "2", "SLURM_LOCALID": "0", "SLURM_NODEID": "1"}, SLURMEnvironment, False),
        ({**OF_TORCHRUN, "RANK": "0", "LOCAL_RANK": "0", "GROUP_RANK": "0"}, TorchElasticEnvironment, True),
        ({**OF_TORCHRUN, "RANK": "2", "LOCAL_RANK": "0", "GROUP_RANK": "1"}, TorchElasticEnvironment, False),
        ({**IN_STEP, **OF_TORCHRUN, "RANK": "1", "LOCAL_RANK": "1", "GROUP_RANK": "0"}, TorchElasticEnvironment, False),
    ],
)
def test_one_process_is_the_first(
    variables: dict[str, str], kind: type, is_first: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert type(cluster_environment()) is kind
    assert is_first_process() == is_first


def test_a_step_of_srun_must_say_how_many_tasks_a_node_has(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in IN_STEP.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("SLURM_NTASKS_PER_NODE")
    with pytest.raises(InputError, match="--ntasks-per-node instead of --ntasks"):
        cluster_environment()


def scheduled(**changes: Any) -> params.Train:
    return params.Train.model_validate({**PARAMETERS.train.model_dump(), **changes})


def test_as_many_processes_as_devices_must_have_been_started(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise each of four would train alone, and write what the others write."""
    for name, value in {**OF_TORCHRUN, "RANK": "0", "LOCAL_RANK": "0", "GROUP_RANK": "0"}.items():
        monkeypatch.setenv(name, value)
    environment = cluster_environment()
    with pytest.raises(InputError, match=r"train\.devices is 1 and train\.nodes is 1, which makes 1 processes, but 4"):
        check_processes(scheduled(), environment, num_processes=1)
    check_processes(scheduled(devices=2, nodes=2), environment, num_processes=4)


def test_several_nodes_need_a_launcher(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without one, the first node would wait for the others until it times out."""
    with pytest.raises(InputError, match=r"train\.nodes is 2; start the training on every node, with srun or torchrun"):
        check_processes(scheduled(nodes=2), LightningEnvironment(), num_processes=2)
    monkeypatch.setenv("MASTER_ADDR", "one")
    check_processes(scheduled(nodes=2), LightningEnvironment(), num_processes=2)


def test_a_batch_is_divided_evenly_and_is_the_same_for_any_number_of_devices() -> None:
    schedule = scheduled(batch_size=8)
    assert [share_of_batch(schedule, num_samples=100, num_processes=number) for number in (1, 2, 4)] == [8, 4, 2]
    assert share_of_batch(schedule, num_samples=6, num_processes=2) == 3
    with pytest.raises(InputError, match=r"batch_size is 8; it is divided among 3 devices, so it must be a multiple"):
        share_of_batch(schedule, num_samples=100, num_processes=3)


@pytest.mark.parametrize("name", ["nodes", "strategy"])
def test_what_was_trained_before_there_were_nodes_keeps_its_key(name: str) -> None:
    from segbench.training.training import Training

    nothing: Any = type("Nothing", (), {"fingerprint": "", "recipe": PARAMETERS.compare})
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("segbench.training.training.asdict", lambda recipe: {})
        training = Training("scenes", "unet", 0, PARAMETERS, nothing, nothing)
        settings = training.settings["train"]
    assert name not in settings and settings["devices"] == 1


def test_batch_norms_that_are_synchronised_keep_their_weights_and_activations() -> None:
    """torch's own conversion drops the activations of timm's."""
    network = nn.Sequential(nn.Conv2d(3, 4, 1), BatchNormAct2d(4), nn.BatchNorm2d(4)).eval()
    images = torch.randn(2, 3, 5, 5)
    expected, weights = network(images), network.state_dict()
    converted = SynchronisedBatchNorm(is_on_cuda=True).apply(network)
    assert sum(isinstance(layer, nn.SyncBatchNorm) for layer in converted.modules()) == 2
    assert torch.equal(converted(images), expected)
    assert converted.state_dict().keys() == weights.keys()
    assert SynchronisedBatchNorm(is_on_cuda=False).apply(network) is network


def unnormed_unet(num_classes: int) -> Network:
    """A U-Net without batch norm, whose statistics on a CPU are of each process's part of a batch, and dropout."""
    seed_everything(0)
    backbone = params.Backbone(name="contracting_path", weights="none")
    changes = {"batch_norm": False, "decoder_channels": [16, 16, 8, 8], "backbone": backbone}
    model = PARAMETERS.model("unet").model_copy(update=changes)
    network = build_model(model, backbone=backbone, num_classes=num_classes)
    assert isinstance(network, Network)
    return network


class SeenSamples(AugmentedSamples):
    """Notes which samples it gives, and leaves a part of every third one without a class."""

    def __init__(self, folder: Path, prepared: Prepared) -> None:
        super().__init__(folder, prepared)
        self.seen: list[int] = []

    def __getitem__(self, position: int) -> tuple[Tensor, Tensor]:
        self.seen.append(position)
        image, label_map = super().__getitem__(position)
        if position % 3 == 0:
            label_map[:30] = IGNORE_INDEX
        return image, label_map


def train(folder: Path, *, devices: int, ends_itself: bool) -> None:
    """Train on the CPU, with one process for each device, and leave what each process has seen and got."""
    rank = os.environ.get("RANK", os.environ.get("LOCAL_RANK", "0"))
    data = some_data(folder / rank, num_train=8, num_val=3)
    some_samples(data, folder / rank, copies=2)
    samples = SeenSamples(folder / rank / "augmented", data)
    network = unnormed_unet(len(data.classes))
    schedule = scheduled(
        accelerator="cpu", devices=devices, epochs=2, batch_size=4, optimizer="sgd", lr=0.1, backbone_lr_factor=1,
        warmup_epochs=0, validate_every_epochs=1,
    )  # fmt: skip
    rows = fit(
        network, samples, WholeImages(data, "val", scale=1.0), schedule=schedule, seed=0, precision="float32",
        class_weights=torch.linspace(0.5, 2, len(data.classes)), num_classes=len(data.classes),
        checkpoints=folder / "checkpoints", on_epoch=lambda row: (folder / f"{row.epoch}_by_{rank}").touch(),
    )  # fmt: skip
    if ends_itself and not is_first_process():
        os.kill(os.getpid(), signal.SIGKILL)
    wait_for_all()
    curves = [(row.train_loss, row.val_loss, row.val_pixel_accuracy, row.val_mean_iou) for row in rows]
    torch.save({"weights": network.state_dict(), "curves": curves, "seen": samples.seen}, folder / f"{rank}.pt")


def trained(folder: Path, *, devices: int, launcher: tuple[str, ...] = (), ends_itself: bool = False) -> list[Any]:
    """What `train` leaves, by process, in processes of their own. Raises CalledProcessError if it fails."""
    folder.mkdir()
    words = ("-m", "tests.training.test_processes", str(folder), str(devices), str(ends_itself))
    command = [sys.executable, *launcher, *words]
    subprocess.run(command, cwd=PROJECT, check=True, timeout=1200, capture_output=True)
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(devices)]


@pytest.mark.slow
def test_two_processes_train_what_one_does(tmp_path: Path) -> None:
    """With the same total batch, to float32's rounding: samples, losses, scores and weights."""
    (one,) = trained(tmp_path / "one", devices=1)
    both = trained(tmp_path / "two", devices=2)
    assert sorted(one["seen"]) == sorted(both[0]["seen"] + both[1]["seen"]) == list(range(16))
    for step in range(4):  # and each batch has the same samples
        first, last = 2 * step, 2 * step + 2
        of_step = both[0]["seen"][first:last] + both[1]["seen"][first:last]
        assert sorted(of_step) == sorted(one["seen"][2 * first : 2 * last])
    for of_process in both:
        assert torch.tensor(of_process["curves"]).allclose(torch.tensor(one["curves"]), rtol=1e-4)
        for name, weights in one["weights"].items():
            assert torch.allclose(of_process["weights"][name], weights, rtol=1e-4, atol=1e-6), name
    start = unnormed_unet(len(one["weights"]["score.bias"])).state_dict()
    assert any(not torch.allclose(weights, start[name], atol=1e-3) for name, weights in one["weights"].items())
    assert {path.name for path in (tmp_path / "two").glob("*_by_*")} == {"1_by_0", "2_by_0"}, "the first process logs"
    assert [path.name for path in (tmp_path / "two/checkpoints").iterdir()] == ["last.ckpt"]


@pytest.mark.long
def test_torchrun_starts_the_processes_too(tmp_path: Path) -> None:
    launcher = ("-m", "torch.distributed.run", "--nproc-per-node=2", "--master-port=0", "--standalone")
    by_torchrun = trained(tmp_path / "torchrun", devices=2, launcher=launcher)
    by_lightning = trained(tmp_path / "lightning", devices=2)
    for name, weights in by_lightning[0]["weights"].items():
        assert torch.equal(by_torchrun[0]["weights"][name], weights), name


@pytest.mark.long
def test_a_process_that_fails_ends_all(tmp_path: Path) -> None:
    with pytest.raises(subprocess.CalledProcessError):
        trained(tmp_path / "some", devices=2, ends_itself=True)
    assert not list((tmp_path / "some").glob("*.pt"))


if __name__ == "__main__":
    train(Path(sys.argv[1]), devices=int(sys.argv[2]), ends_itself=sys.argv[3] == "True")
