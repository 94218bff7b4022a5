"""The training loop: one schedule for all networks, on Lightning."""

import logging
import pickle
import sys
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback, TQDMProgressBar
from torch import Tensor
from torch.utils.data import DataLoader

from segbench import params
from segbench.checkpoints import BEST, LAST
from segbench.errors import InputError
from segbench.files import damage_of
from segbench.models.network import Network
from segbench.training.curves import Curves, Epoch
from segbench.training.depthwise import compile_depthwise
from segbench.training.divergence import DivergenceError, StopWhenDiverged
from segbench.training.precision import LIGHTNING_PRECISION, Precision, device_type
from segbench.training.processes import (
    DividedImages,
    SynchronisedBatchNorm,
    check_processes,
    cluster_environment,
    share_of_batch,
)
from segbench.training.resume import MovableCheckpoint, WholeCheckpoints, checkpoint_to_continue
from segbench.training.samples import AugmentedSamples, EpochSampler, WholeImages
from segbench.training.task import Task

logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)  # hides tips and the list of devices
warnings.filterwarnings("ignore", module="lightning.*")  # few workers and an old folder are both meant


def seed_everything(seed: int) -> None:
    """Seed all random numbers, so that the same seed builds and trains the same network."""
    L.seed_everything(seed, workers=True, verbose=False)


def fit(
    model: Network,
    samples: AugmentedSamples,
    validation: WholeImages,
    *,
    schedule: params.Train,
    seed: int,
    precision: Precision,
    class_weights: Tensor | None,
    num_classes: int,
    checkpoints: Path,
    on_epoch: Callable[[Epoch], None],
) -> list[Epoch]:
    """Train a model in place and return its learning curves; a killed training continues from its last checkpoint.

    The same seed gives the same weights on the same machine with the same number of threads, also after a restart. On
    CUDA, the last bits of the weights may differ, since bilinear upsampling and the losses sum in no fixed order there.
    class_weights: (num_classes,) for the loss, None for equal ones. Raises InputError if a batch cannot be divided
    among the devices, and DivergenceError, with the rows so far, at the first loss that is not finite.
    """
    task = Task(
        model.to(memory_format=torch.channels_last),  # type: ignore[call-overload]
        schedule,
        seed=seed,
        num_classes=num_classes,
        class_weights=class_weights,
    )
    curves = Curves(on_epoch)
    last = checkpoint_to_continue(checkpoints)
    keep = partial(MovableCheckpoint, checkpoints, enable_version_counter=False)
    best = keep(filename=BEST, monitor="val_mean_iou", mode="max")
    callbacks: list[Callback] = [StopWhenDiverged(), curves]
    if schedule.checkpoint == "best":
        callbacks.append(best)
    callbacks.append(keep(filename=LAST, save_on_train_epoch_end=True))  # after `best`, whose state it stores too
    shows_progress = sys.stderr.isatty()
    if shows_progress:
        callbacks.append(TQDMProgressBar(leave=False))
    device = device_type(schedule.accelerator)
    is_on_cpu = device == "cpu"
    environment = cluster_environment()
    if is_on_cpu:
        compile_depthwise(model, in_bfloat16=precision == "bfloat16")
    trainer = L.Trainer(
        accelerator=schedule.accelerator,
        devices=schedule.devices,
        num_nodes=schedule.nodes,
        strategy=schedule.strategy,
        precision=LIGHTNING_PRECISION[precision],
        max_epochs=schedule.epochs,
        gradient_clip_val=schedule.gradient_clip_norm,
        check_val_every_n_epoch=schedule.validate_every_epochs,
        callbacks=callbacks,
        plugins=[WholeCheckpoints(), environment, SynchronisedBatchNorm(is_on_cuda=device == "cuda")],
        default_root_dir=checkpoints,
        deterministic="warn" if is_on_cpu else None,  # deterministic upsampling is slow on CUDA
        num_sanity_val_steps=0,
        logger=False,
        enable_progress_bar=shows_progress,
        enable_model_summary=False,
        use_distributed_sampler=False,  # EpochSampler divides the samples between processes itself
    )
    check_processes(schedule, environment, num_processes=trainer.world_size)
    loader = DataLoader(
        samples,
        batch_size=share_of_batch(schedule, num_samples=len(samples), num_processes=trainer.world_size),
        sampler=EpochSampler(
            samples.class_pixels, seed=seed, epochs=schedule.epochs, rare_share=schedule.rare_class_sampling
        ),
        drop_last=True,
        num_workers=schedule.loader_workers,
        persistent_workers=schedule.loader_workers > 0,
        pin_memory=torch.cuda.is_available(),
    )
    validation_loader = DataLoader(
        validation, batch_size=1, sampler=DividedImages(len(validation)), num_workers=schedule.loader_workers
    )
    try:
        trainer.fit(task, loader, validation_loader, ckpt_path=last, weights_only=True)
    except DivergenceError as diverged:
        diverged.rows = curves.rows
        raise
    except pickle.UnpicklingError:
        raise InputError(f"{last}: holds more than a training's state, which is not loaded; remove the file") from None
    if trainer.interrupted:
        raise KeyboardInterrupt  # Lightning does not pass it on
    if schedule.checkpoint == "best":
        if damage := damage_of(Path(best.best_model_path)):
            raise InputError(f"{best.best_model_path}: damaged ({damage}); remove the folder and train again")
        state = torch.load(best.best_model_path, map_location="cpu", weights_only=True)["state_dict"]
        task.load_state_dict(state)
    return curves.rows
