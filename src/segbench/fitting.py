"""Training: one schedule for all networks, on Lightning."""

import logging
import os
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import lightning as L
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint, TQDMProgressBar
from lightning.pytorch.plugins.io import TorchCheckpointIO
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader

from segbench import losses, metrics, params
from segbench.errors import InputError
from segbench.files import replacing
from segbench.machine import peak_memory_mib
from segbench.models.layers import Network, subsampled_convolution
from segbench.samples import AugmentedSamples, EpochSampler, WholeImages

logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)  # tips and devices
warnings.filterwarnings("ignore", module="lightning.*")  # few workers, a folder with a checkpoint: both are meant

Precision = Literal["float32", "bfloat16", "bfloat16_dense", "float16"]
LIGHTNING_PRECISION: dict[Precision, Any] = {
    "float32": "32-true",
    "bfloat16": "bf16-mixed",
    "bfloat16_dense": "bf16-mixed",
    "float16": "16-mixed",
}


@dataclass(frozen=True)
class Epoch:
    """A row of the learning curves; validation is None where none was made."""

    epoch: int
    train_loss: float
    lr: float
    seconds: float
    images_per_second: float
    peak_memory_mib: float
    val_loss: float | None = None
    val_pixel_accuracy: float | None = None
    val_mean_iou: float | None = None

    def metrics(self) -> dict[str, float | None]:
        """All but the epoch's number."""
        return {name: value for name, value in asdict(self).items() if name != "epoch"}


def seed_everything(seed: int) -> None:
    """Fix all random numbers, so that the same seed builds and trains the same network."""
    L.seed_everything(seed, workers=True, verbose=False)


def is_first_process() -> bool:
    """Whether this process writes the results: on several devices, Lightning starts the stage once for each."""
    return os.environ.get("LOCAL_RANK", "0") == "0" and os.environ.get("NODE_RANK", "0") == "0"


def device_type(accelerator: str) -> str:
    """What training will run on: cuda, mps, xla or cpu. InputError if it is not there."""
    available = {"gpu": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True, "tpu": True}
    if accelerator == "auto":
        accelerator = next(name for name, is_there in available.items() if is_there)
    if not available[accelerator]:
        raise InputError(f"params.yaml: train.accelerator is {accelerator}; this machine has none, so use auto or cpu")
    return {"gpu": "cuda", "tpu": "xla"}.get(accelerator, accelerator)


def choose_precision(requested: str, device: str) -> Precision:
    """The number format for training, by hardware when `requested` is auto.

    CPUs with bfloat16 arithmetic (AMX or AVX-512) run dense convolutions 1.2 to 3 times faster in it, but the
    backward pass of depthwise ones up to 3.6 times slower: those stay in float32 (bfloat16_dense).
    """
    match requested, device:
        case ("auto", "cuda"):
            return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float16"
        case ("auto", "cpu"):
            capabilities = torch.cpu.get_capabilities()
            has_bfloat16 = capabilities.get("amx_tile") or capabilities.get("avx512_bf16")
            return "bfloat16_dense" if has_bfloat16 else "float32"
        case ("auto", _):
            return "float32"
        case ("float16", "cpu"):
            raise InputError("params.yaml: train.precision is float16; on a CPU it must be float32 or a bfloat16")
    return requested  # type: ignore[return-value]


def keep_depthwise_in_float32(model: nn.Module) -> None:
    """Exempt depthwise convolutions from autocast, in place."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d) and module.groups > 1:
            module.forward = partial(_in_float32, module.forward)  # type: ignore[method-assign]


def subsample_atrous_depthwise(model: nn.Module) -> None:
    """Compute atrous depthwise convolutions in the way that a CPU trains fastest, in place."""
    for module in model.modules():
        if (
            isinstance(module, nn.Conv2d)
            and module.groups > 1
            and module.dilation[0] > 1
            and module.stride == (1, 1)
            and module.padding[0] == module.dilation[0] * (module.kernel_size[0] // 2)
        ):
            module.forward = partial(subsampled_convolution, convolution=module)  # type: ignore[method-assign]


def _in_float32(forward: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    with torch.autocast(x.device.type, enabled=False):
        return forward(x.float())


def class_weights(kind: str, class_pixels: NDArray[np.int64]) -> Tensor | None:
    """(num_classes,) float32 weights of the loss with mean one over the classes present, or None for none.

    class_pixels: (num_images, num_classes). median_frequency is Eigen and Fergus 2015: the median of the classes'
    frequencies over a class's own, each counted in the images that show it. A class that is absent weighs zero.
    """
    if kind == "none":
        return None
    totals = class_pixels.sum(axis=0)
    pixels = class_pixels.sum(axis=1, keepdims=True)
    seen = (pixels * (class_pixels > 0)).sum(axis=0) if kind == "median_frequency" else pixels.sum()
    present = totals > 0
    weights = np.divide(seen, totals, out=np.zeros(totals.shape), where=present)
    return torch.tensor(weights / weights[present].mean(), dtype=torch.float32)


def learning_rate_factor(step: int, *, num_steps: int, warmup_steps: int, power: float) -> float:
    """Linear warm-up, then polynomial decay to zero at num_steps (Liu et al. 2015)."""
    if step < warmup_steps:
        return (step + 1) / (warmup_steps + 1)
    return float((1 - (step - warmup_steps) / max(1, num_steps - warmup_steps)) ** power)


def _pixels(images: Tensor) -> Tensor:
    """(N, 3, H, W) uint8 -> float RGB in 0..1"""
    return images.float().div(255).contiguous(memory_format=torch.channels_last)


class Task(L.LightningModule):
    """What Lightning trains: the model, the loss, the optimiser and the validation metrics."""

    def __init__(
        self, model: Network, schedule: params.Train, *, seed: int, num_classes: int, weights: Tensor | None
    ) -> None:
        super().__init__()
        self.model = model
        self.schedule = schedule
        self.seed = seed
        self.register_buffer("class_weights", weights, persistent=False)
        self.num_classes = num_classes
        self.confusion = np.zeros((num_classes, num_classes), np.int64)

    def forward(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) uint8 -> (N, C, H, W) float32 logits"""
        logits: Tensor = self.model(_pixels(images))
        return logits.float()

    def loss(self, logits: Tensor, label_maps: Tensor) -> Tensor:
        """The schedule's loss of (N, C, H, W) logits and (N, H, W) label maps, over the labelled pixels."""
        return losses.weighted_sum(logits, label_maps, terms=self.schedule.loss, class_weights=self.class_weights)

    def training_step(self, batch: tuple[Tensor, Tensor], _: int) -> Tensor:
        """One step on (N, 3, H, W) uint8 images and (N, H, W) uint8 label maps.

        Its random numbers (dropout) depend on the seed and the step alone, so that a resumed training equals an
        unbroken one.
        """
        torch.manual_seed(hash((self.seed, self.global_step, self.global_rank)))
        images, label_maps = batch
        terms = self.model.loss_terms(_pixels(images), label_maps)
        loss = torch.stack([weight * self.loss(logits.float(), truth) for logits, truth, weight in terms]).sum()
        self.log("train_loss", loss, on_step=False, on_epoch=True, batch_size=len(images), sync_dist=True)
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], _: int) -> None:
        """Score an image at its label map's own size, as the test does."""
        images, label_maps = batch
        logits = F.interpolate(self(images), size=label_maps.shape[-2:], mode="bilinear", align_corners=False)
        self.log("val_loss", self.loss(logits, label_maps), batch_size=1, sync_dist=True)
        predicted = logits.argmax(dim=1).to(torch.uint8)
        self.confusion += metrics.confusion_matrix(
            truth=label_maps.cpu().numpy(), predicted=predicted.cpu().numpy(), num_classes=self.num_classes
        )

    def on_validation_epoch_end(self) -> None:
        """Log the metrics of the whole split."""
        confusion = self.trainer.strategy.reduce(torch.from_numpy(self.confusion).to(self.device), reduce_op="sum")
        scores = metrics.scores(confusion.cpu().numpy())
        self.confusion[:] = 0
        self.log("val_pixel_accuracy", scores.pixel_accuracy)
        self.log("val_mean_iou", scores.mean_iou)

    def configure_optimizers(self) -> Any:
        """SGD or AdamW; the backbone at its own rate, no weight decay on biases and normalisation."""
        schedule = self.schedule
        groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
        for name, parameter in self.model.named_parameters():
            key = (name.startswith("backbone."), parameter.ndim > 1)
            groups.setdefault(key, []).append(parameter)
        # Head first: its rate is the one that the curves show.
        settings = [
            {
                "params": groups[key],
                "lr": schedule.lr * (schedule.backbone_lr_factor if key[0] else 1),
                "weight_decay": schedule.weight_decay if key[1] else 0.0,
            }
            for key in sorted(groups)
        ]
        optimizer: torch.optim.Optimizer
        if schedule.optimizer == "sgd":
            optimizer = torch.optim.SGD(settings, lr=schedule.lr, momentum=schedule.momentum)
        else:
            optimizer = torch.optim.AdamW(settings, lr=schedule.lr)
        num_steps = int(self.trainer.estimated_stepping_batches)
        factor = partial(
            learning_rate_factor,
            num_steps=num_steps,
            warmup_steps=round(schedule.warmup_epochs * num_steps / self.trainer.max_epochs),
            power=schedule.poly_power,
        )
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}


class Curves(Callback):
    """Keeps a row an epoch, also across a restart, prints it, and hands it on."""

    def __init__(self, on_epoch: Callable[[Epoch], None]) -> None:
        self.rows: list[Epoch] = []
        self._on_epoch = on_epoch
        self._started = self._ended = 0.0
        self._images = 0
        self._lr = 0.0

    def state_dict(self) -> dict[str, Any]:
        """Goes into the checkpoint."""
        return {"rows": [asdict(row) for row in self.rows]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Comes out of the checkpoint."""
        self.rows = [Epoch(**row) for row in state_dict["rows"]]

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Start the clock, which runs for training alone. The last epoch is validated in any case."""
        if trainer.current_epoch + 1 == trainer.max_epochs:
            trainer.check_val_every_n_epoch = 1
        self._started, self._images = time.perf_counter(), 0
        self._lr = trainer.optimizers[0].param_groups[0]["lr"]

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int) -> None:  # noqa: E501  # fmt: skip
        """Stop the clock for now."""
        self._ended = time.perf_counter()
        self._images += len(batch[0]) * trainer.world_size

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Lightning has validated by now."""
        logged = {name: float(value) for name, value in trainer.callback_metrics.items()}
        validated = (trainer.current_epoch + 1) % (trainer.check_val_every_n_epoch or 1) == 0
        seconds = self._ended - self._started
        row = Epoch(
            epoch=trainer.current_epoch + 1,
            train_loss=logged["train_loss"],
            lr=self._lr,
            seconds=seconds,
            images_per_second=self._images / seconds,
            peak_memory_mib=peak_memory_mib(),
            **{name: value for name, value in logged.items() if name.startswith("val_") and validated},
        )
        self.rows.append(row)
        if trainer.is_global_zero:
            score = f"  val mIoU {100 * row.val_mean_iou:5.1f} %" if row.val_mean_iou is not None else ""
            print(
                f"epoch {row.epoch}/{trainer.max_epochs}  loss {row.train_loss:.3f}{score}"
                f"  {row.images_per_second:.0f} images/s",
                flush=True,
            )
            self._on_epoch(row)


class WholeCheckpoints(TorchCheckpointIO):
    """A kill while a checkpoint is written leaves the one before; Lightning's own may leave a part of either."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write it beside its place, then put it there."""
        with replacing(Path(path)) as temporary:
            torch.save(checkpoint, temporary)


def fit(
    model: Network,
    samples: AugmentedSamples,
    validation: WholeImages,
    *,
    schedule: params.Train,
    seed: int,
    precision: Precision,
    weights: Tensor | None,
    num_classes: int,
    checkpoints: Path,
    on_epoch: Callable[[Epoch], None],
) -> list[Epoch]:
    """Train a model in place and return its curves; continue from `checkpoints` if a killed training left one.

    The same seed gives the same weights on one machine, with one number of threads, also after a restart. On CUDA,
    bilinear upsampling and the losses add in no fixed order, so weights differ there in the last bits. Raises
    InputError if there are fewer samples than devices.
    """
    task = Task(
        model.to(memory_format=torch.channels_last),  # type: ignore[call-overload]
        schedule,
        seed=seed,
        num_classes=num_classes,
        weights=weights,
    )
    curves = Curves(on_epoch)
    last = checkpoints / "last.ckpt"
    keep = partial(ModelCheckpoint, checkpoints, enable_version_counter=False)
    best = keep(filename="best", monitor="val_mean_iou", mode="max")
    callbacks: list[Callback] = [curves]
    if schedule.checkpoint == "best":
        callbacks.append(best)
    callbacks.append(keep(filename="last", save_on_train_epoch_end=True))  # after best, which a restart would miss
    shows_progress = sys.stderr.isatty()
    if shows_progress:
        callbacks.append(TQDMProgressBar(leave=False))
    is_on_cpu = device_type(schedule.accelerator) == "cpu"
    if is_on_cpu:
        subsample_atrous_depthwise(model)
    if precision == "bfloat16_dense":
        keep_depthwise_in_float32(model)
    trainer = L.Trainer(
        accelerator=schedule.accelerator,
        devices=schedule.devices,
        precision=LIGHTNING_PRECISION[precision],
        max_epochs=schedule.epochs,
        gradient_clip_val=schedule.gradient_clip_norm,
        check_val_every_n_epoch=schedule.validate_every_epochs,
        callbacks=callbacks,
        plugins=[WholeCheckpoints()],
        default_root_dir=checkpoints,
        deterministic="warn" if is_on_cpu else None,  # on CUDA, torch would enlarge by a slow decomposition
        num_sanity_val_steps=0,
        logger=False,
        enable_progress_bar=shows_progress,
        enable_model_summary=False,
        use_distributed_sampler=False,  # the sampler divides the samples itself
    )
    share = len(samples) // trainer.world_size
    if not share:
        raise InputError(
            f"params.yaml: train.devices are {trainer.world_size}, but the training split has {len(samples)} images; "
            "it must have one a device"
        )
    loader = DataLoader(
        samples,
        batch_size=min(schedule.batch_size, share),
        sampler=EpochSampler(
            samples.class_pixels, seed=seed, epochs=schedule.epochs, rare_share=schedule.rare_class_sampling
        ),
        drop_last=True,
        num_workers=schedule.loader_workers,
        persistent_workers=schedule.loader_workers > 0,
        pin_memory=torch.cuda.is_available(),
    )
    validation_loader = DataLoader(validation, batch_size=1, num_workers=schedule.loader_workers)
    trainer.fit(task, loader, validation_loader, ckpt_path=last if last.exists() else None, weights_only=True)
    if trainer.interrupted:
        raise KeyboardInterrupt  # Lightning keeps it to itself
    if schedule.checkpoint == "best":
        state = torch.load(best.best_model_path, map_location="cpu", weights_only=True)["state_dict"]
        task.load_state_dict(state)
    return curves.rows
