"""Several processes train one network: who started them, which of them writes, and what they share of a batch.

Each process has one device and its part of every batch; gradients are averaged over all (data parallelism).
"""

import os
from collections.abc import Iterator

import torch
from lightning.fabric.plugins.environments import (
    ClusterEnvironment,
    LightningEnvironment,
    LSFEnvironment,
    MPIEnvironment,
    SLURMEnvironment,
    TorchElasticEnvironment,
)
from lightning.pytorch.plugins import LayerSync
from timm.layers import convert_sync_batchnorm
from torch import Tensor, nn
from torch.utils.data import Sampler

from segbench import params
from segbench.errors import InputError
from segbench.labels import IGNORE_INDEX


def cluster_environment() -> ClusterEnvironment:
    """What has started the processes of this training: torchrun, srun, another scheduler, or Lightning itself.

    Lightning's own detection takes every process inside a SLURM allocation for one of SLURM_NTASKS, also one that srun
    has not started and that is alone; and it overlooks srun in a job named bash or interactive, as salloc's are. What
    tells is the number of tasks of the step. Raises InputError for a step whose tasks per node SLURM does not tell.
    """
    if TorchElasticEnvironment.detect():
        return TorchElasticEnvironment()
    if int(os.environ.get("SLURM_STEP_NUM_TASKS", "1")) > 1:
        try:
            return SLURMEnvironment(auto_requeue=False)  # the next `dvc repro` continues, not SLURM
        except RuntimeError:
            raise InputError("srun started several tasks; say --ntasks-per-node instead of --ntasks") from None
    for kind in (LSFEnvironment, MPIEnvironment):
        if kind.detect():
            return kind()
    return LightningEnvironment()


def is_first_process() -> bool:
    """Whether this process writes the results: each of several runs the whole stage."""
    environment = cluster_environment()
    return environment.local_rank() == 0 and environment.node_rank() == 0


def place_of_process() -> tuple[int, int]:
    """The rank of this training process, and how many there are."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_rank(), torch.distributed.get_world_size()
    return 0, 1


def wait_for_all() -> None:
    """Return when all processes have come here. Fails if one of them has ended, so that none waits forever."""
    if place_of_process()[1] > 1:
        torch.distributed.barrier()


def check_processes(schedule: params.Train, environment: ClusterEnvironment, *, num_processes: int) -> None:
    """Raise InputError if params.yaml asks for another number of processes than were, or will be, started.

    num_processes: as many as Lightning made of `devices` and `nodes`.
    """
    asked = f"params.yaml: train.devices is {schedule.devices} and train.nodes is {schedule.nodes}"
    if isinstance(environment, LightningEnvironment):
        if schedule.nodes > 1 and "MASTER_ADDR" not in os.environ:
            raise InputError(
                f"{asked}; start the training on every node, with srun or torchrun, as docs/protocol.md says"
            )
    elif environment.world_size() != num_processes:
        raise InputError(
            f"{asked}, which makes {num_processes} processes, but {environment.world_size()} were started; "
            "start as many processes as devices"
        )


def share_of_batch(schedule: params.Train, *, num_samples: int, num_processes: int) -> int:
    """How many samples of each batch a process has. `batch_size` is that of all processes together.

    Raises InputError if the batch cannot be divided evenly, or if there are fewer samples than processes.
    """
    if num_samples < num_processes:
        raise InputError(
            f"params.yaml: train.devices are {num_processes}, but the training split has {num_samples} images; "
            "it must have one per device"
        )
    if schedule.batch_size % num_processes:
        raise InputError(
            f"params.yaml: train.batch_size is {schedule.batch_size}; it is divided among {num_processes} devices, so "
            f"it must be a multiple of {num_processes}"
        )
    return min(schedule.batch_size, num_samples) // num_processes


class DividedImages(Sampler[int]):
    """The positions of a split's images that this process validates; all of them if there are too few to divide."""

    def __init__(self, num_images: int) -> None:
        self.num_images = num_images

    def __len__(self) -> int:
        return len(self._positions)

    def __iter__(self) -> Iterator[int]:
        return iter(self._positions)

    @property
    def _positions(self) -> range:
        rank, num_processes = place_of_process()
        if self.num_images < num_processes:
            return range(self.num_images)
        return range(rank, self.num_images, num_processes)


def weight_of_part(label_maps: Tensor, class_weights: Tensor | None) -> Tensor | None:
    """By what a process's mean loss is multiplied, so that the mean over processes is that over the batch's pixels.

    The parts of a batch have different numbers of labelled pixels, each counted by the weight of its class. None where
    one process has the whole batch. Exact for losses that are means over pixels; dice is computed over each part.
    """
    num_processes = place_of_process()[1]
    if num_processes == 1:
        return None
    labelled = label_maps[label_maps != IGNORE_INDEX].long()
    total = torch.ones_like(labelled, dtype=torch.float32) if class_weights is None else class_weights[labelled]
    of_part = total.sum()
    of_all = of_part.clone()
    torch.distributed.all_reduce(of_all)
    return of_part * num_processes / of_all.clamp(min=1e-6)


class SynchronisedBatchNorm(LayerSync):
    """Batch norm over the whole batch instead of each process's part, on CUDA; torch has it for no other device.

    By timm's conversion, since torch's would drop the activations that timm's batch norms hold.
    """

    def __init__(self, *, is_on_cuda: bool) -> None:
        self.is_on_cuda = is_on_cuda

    def apply(self, model: nn.Module) -> nn.Module:
        """Called by Lightning where there are several processes. Names and values of the weights stay as they are."""
        return convert_sync_batchnorm(model) if self.is_on_cuda else model

    def revert(self, model: nn.Module) -> nn.Module:
        """Nothing: only the weights are used after training."""
        return model
