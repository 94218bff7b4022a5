"""Learning curves: one row per epoch."""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback

from segbench.machine import peak_memory_mib


@dataclass(frozen=True)
class Epoch:
    """One row of the learning curves. Validation scores are None after an epoch without validation."""

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
        """The values by name, without the epoch's number."""
        return {name: value for name, value in asdict(self).items() if name != "epoch"}


class Curves(Callback):
    """Collects one row per epoch, also across a restart; prints each and hands it to `on_epoch`."""

    def __init__(self, on_epoch: Callable[[Epoch], None]) -> None:
        self.rows: list[Epoch] = []
        self._on_epoch = on_epoch
        self._started = self._ended = 0.0
        self._images = 0
        self._lr = 0.0

    def state_dict(self) -> dict[str, Any]:
        """The rows, for the checkpoint."""
        return {"rows": [asdict(row) for row in self.rows]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """The rows of the epochs before a restart."""
        self.rows = [Epoch(**row) for row in state_dict["rows"]]

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Start the clock, and see to it that the last epoch is validated."""
        if trainer.current_epoch + 1 == trainer.max_epochs:
            trainer.check_val_every_n_epoch = 1
        self._started, self._images = time.perf_counter(), 0
        self._lr = trainer.optimizers[0].param_groups[0]["lr"]

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int) -> None:  # noqa: E501  # fmt: skip
        """Stop the clock for now: validation, which follows the last batch, is not timed."""
        self._ended = time.perf_counter()
        self._images += len(batch[0]) * trainer.world_size

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Add the epoch's row. Lightning has run the validation before it calls this."""
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
