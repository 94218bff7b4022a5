"""A training whose loss is no longer finite: it is stopped, since nothing that follows could mend its weights."""

from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from segbench.training.curves import Epoch


class DivergenceError(Exception):
    """The loss is NaN or infinite. epoch: the one in which it became so, from 1; rows: of the epochs before it."""

    def __init__(self, *, epoch: int) -> None:
        super().__init__(f"the loss is not finite in epoch {epoch}")
        self.epoch = epoch
        self.rows: list[Epoch] = []


class StopWhenDiverged(Callback):
    """Raises DivergenceError at the first step, or the first validation, whose loss is not finite.

    In float16 too. The steps that the gradient scaler skips are normal, and are not meant: there the scaled gradients
    overflow, while the loss itself, computed in float32 and not scaled, is finite. A loss that is not finite comes from
    the forward pass. No other scale mends it, and batch norm's running means have taken up its NaN.
    """

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int) -> None:  # noqa: E501  # fmt: skip
        """With several processes, all stop if the loss of one is not finite: the others would wait for it forever."""
        is_lost = not bool(torch.isfinite(outputs["loss"]))
        if trainer.strategy.reduce_boolean_decision(is_lost, all=False):
            raise DivergenceError(epoch=trainer.current_epoch + 1)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """An epoch's last step may ruin the weights, which only validation shows. Its loss is that of all processes."""
        loss: Tensor = trainer.callback_metrics["val_loss"]
        if not bool(torch.isfinite(loss)):
            raise DivergenceError(epoch=trainer.current_epoch + 1)


def likely_causes(train: dict[str, Any]) -> str:
    """What may be wrong with the schedule of a training that diverged. train: the section of its settings."""
    causes = [f"learning rate too high (lr {train['lr']:g})"]
    if not train["warmup_epochs"]:
        causes.append("no warm-up (warmup_epochs 0)")
    if train["gradient_clip_norm"] is None:
        causes.append("gradients not clipped (gradient_clip_norm null)")
    if train["precision"] == "float16":
        causes.append("overflow in float16 (precision)")
    return ", ".join(causes)
