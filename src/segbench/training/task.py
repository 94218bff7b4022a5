"""What Lightning trains: the model, the loss, the optimiser and the validation metrics."""

from collections.abc import Iterator
from typing import Any

import lightning as L
import torch
from torch import Tensor
from torch.nn import functional as F
from torchmetrics import MeanMetric, Metric

from segbench import params
from segbench.images import RGBImage
from segbench.labels import IGNORE_INDEX
from segbench.models.network import Network
from segbench.prediction.tiles import blended_rows, resized_rows, tile_px_of_large
from segbench.scoring.metrics import compute_scores, confusion_matrix
from segbench.training import losses
from segbench.training.processes import weight_of_part
from segbench.training.schedule import build_optimizer, build_scheduler


class Confusion(Metric):
    """The confusion matrix of a split, summed over images, and over processes in `compute`.

    torchmetrics' own compares each pixel with each cell of the matrix if algorithms have to be deterministic: for 11
    classes, that takes 280 times as long, longer than all else that validation does.
    """

    counts: Tensor

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.add_state("counts", torch.zeros(num_classes, num_classes, dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, predicted: Tensor, truth: Tensor) -> None:
        """Count the labelled pixels of (N, H, W) predicted and true classes."""
        found = confusion_matrix(
            truth=truth.numpy(force=True), predicted=predicted.numpy(force=True), num_classes=self.num_classes
        )
        self.counts += torch.from_numpy(found).to(self.device)

    def compute(self) -> Tensor:
        """(num_classes, num_classes) int64: true classes in rows, predicted ones in columns"""
        return self.counts


class Task(L.LightningModule):
    """A network and the schedule that it is trained by.

    class_weights: (num_classes,) for the loss, or None for equal ones.
    """

    def __init__(
        self, model: Network, schedule: params.Train, *, seed: int, num_classes: int, class_weights: Tensor | None
    ) -> None:
        super().__init__()
        self.model = model
        self.schedule = schedule
        self.seed = seed
        self.register_buffer("class_weights", class_weights, persistent=False)
        self.confusion = Confusion(num_classes)
        # Lightning's own mean is wrong where processes have different numbers of images; NaN is for StopWhenDiverged.
        self.validation_loss = MeanMetric(nan_strategy="disable")

    def forward(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) uint8 -> (N, C, H, W) float32 logits"""
        logits: Tensor = self.model(_pixels(images))
        return logits.float()

    def loss(self, logits: Tensor, label_maps: Tensor) -> Tensor:
        """The schedule's loss of (N, C, H, W) logits and (N, H, W) label maps, over the labelled pixels."""
        return losses.weighted_sum(logits, label_maps, terms=self.schedule.loss, class_weights=self.class_weights)

    def training_step(self, batch: tuple[Tensor, Tensor], _: int) -> Tensor:
        """The loss of a batch: (N, 3, H, W) uint8 images and (N, H, W) uint8 label maps.

        The random numbers of dropout depend on the seed, the step and the process alone, so that a resumed training
        gives the same weights as an unbroken one.
        """
        torch.manual_seed(hash((self.seed, self.global_step, self.global_rank)))
        images, label_maps = batch
        terms = self.model.loss_terms(_pixels(images), label_maps)
        losses_of_terms = [weight * self._part_of_loss(logits.float(), truth) for logits, truth, weight in terms]
        loss = torch.stack(losses_of_terms).sum()
        self.log("train_loss", loss, on_step=False, on_epoch=True, batch_size=len(images), sync_dist=True)
        return loss

    def _part_of_loss(self, logits: Tensor, label_maps: Tensor) -> Tensor:
        """The loss, such that its mean over the processes is that of the whole batch."""
        loss = self.loss(logits, label_maps)
        weight = weight_of_part(label_maps, self.class_weights)
        return loss if weight is None else loss * weight

    def validation_step(self, batch: tuple[Tensor, Tensor], _: int) -> None:
        """Score an image at the size of its label map, as on the test split.

        A large one comes in strips, whose losses count by their labelled pixels.
        """
        images, label_maps = batch
        num_labelled, loss = (label_maps != IGNORE_INDEX).sum().clamp(min=1), torch.zeros((), device=self.device)
        for logits, truth in self._parts(images, label_maps):
            loss += self.loss(logits, truth) * ((truth != IGNORE_INDEX).sum() / num_labelled)
            self.confusion.update(logits.argmax(dim=1), truth)
        self.validation_loss.update(loss)

    def _parts(self, images: Tensor, label_maps: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Logits (1, C, n, W') and label maps (1, n, W') of an image (1, 3, H, W), whole or from top to bottom."""
        size, to = (images.shape[-2], images.shape[-1]), (label_maps.shape[-2], label_maps.shape[-1])
        tile_px = tile_px_of_large(size, scale=1)
        if tile_px is None:
            yield F.interpolate(self(images), size=to, mode="bilinear", align_corners=False), label_maps
            return
        (pixels,) = images.permute(0, 2, 3, 1).cpu().numpy()

        def logits_of(tile: RGBImage) -> Tensor:
            logits: Tensor = self(torch.from_numpy(tile).permute(2, 0, 1)[None].to(images.device))
            return logits

        blocks = blended_rows(lambda top, bottom: pixels[top:bottom], logits_of, size=size, tile_px=tile_px)
        first = 0
        for strip in resized_rows(blocks, size=size, to=to):
            yield strip[None], label_maps[:, first : first + strip.shape[1]]
            first += strip.shape[1]

    def on_validation_epoch_end(self) -> None:
        """Log the metrics of the whole split. With several processes, torchmetrics sums their counts."""
        found = compute_scores(self.confusion.compute().numpy(force=True))
        self.confusion.reset()
        self.log("val_loss", self.validation_loss.compute())
        self.validation_loss.reset()
        self.log("val_pixel_accuracy", found.pixel_accuracy)
        self.log("val_mean_iou", found.mean_iou)

    def configure_optimizers(self) -> Any:
        """The optimiser, and the scheduler that changes its learning rates at each step."""
        optimizer = build_optimizer(self.model, self.schedule)
        num_steps = int(self.trainer.estimated_stepping_batches)
        scheduler = build_scheduler(optimizer, self.schedule, num_steps=num_steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}


def _pixels(images: Tensor) -> Tensor:
    """(N, 3, H, W) uint8 -> float RGB in 0..1"""
    return images.float().div(255).contiguous(memory_format=torch.channels_last)
