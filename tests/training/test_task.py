"""The loss, the optimiser and the validation of a training step."""

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from segbench import params
from segbench.labels import IGNORE_INDEX
from segbench.models.network import LossTerm, Network
from segbench.scoring.metrics import compute_scores, confusion_matrix
from segbench.training import losses
from segbench.training.task import Confusion, Task
from tests.parameters import PARAMETERS


class TwoHeads(Network):
    """A network whose auxiliary head counts 0.4."""

    def loss_terms(self, images: Tensor, label_maps: Tensor) -> list[LossTerm]:
        return [LossTerm(images[:, :2], label_maps, 1.0), LossTerm(images[:, 1:], label_maps, 0.4)]


def test_every_head_has_the_schedules_loss() -> None:
    terms: dict[params.LossName, float] = {"cross_entropy": 0.5, "dice": 2.0}
    schedule = PARAMETERS.train.model_copy(update={"loss": terms})
    class_weights = torch.tensor([0.5, 1.5])
    task = Task(TwoHeads(), schedule, seed=0, num_classes=2, class_weights=class_weights)
    images, label_maps = torch.randint(256, (2, 3, 8, 8)).byte(), torch.randint(2, (2, 8, 8)).byte()
    last, auxiliary = (
        losses.weighted_sum(logits / 255, label_maps, terms=terms, class_weights=class_weights)
        for logits in (images[:, :2].float(), images[:, 1:].float())
    )
    torch.testing.assert_close(task.training_step((images, label_maps), 0), last + 0.4 * auxiliary)


class Dropping(Network):
    """A network that is nothing but dropout."""

    def loss_terms(self, images: Tensor, label_maps: Tensor) -> list[LossTerm]:
        return [LossTerm(F.dropout(images), label_maps, 1.0)]


def test_dropout_depends_on_the_seed_and_the_step_alone() -> None:
    images, label_maps = torch.full((1, 3, 8, 8), 200).byte(), torch.zeros(1, 8, 8).byte()

    def loss(seed: int) -> float:
        task = Task(Dropping(), PARAMETERS.train, seed=seed, num_classes=3, class_weights=None)
        return float(task.training_step((images, label_maps), 0))

    first, other, again = loss(0), loss(1), loss(0)
    assert first == again != other


class Halving(Network):
    """Two of the image's channels at half of its size."""

    def forward(self, images: Tensor) -> Tensor:
        return images[:, :2, ::2, ::2]


def test_each_validation_scores_the_whole_split_at_its_label_maps_size(monkeypatch: pytest.MonkeyPatch) -> None:
    task = Task(Halving(), PARAMETERS.train, seed=0, num_classes=2, class_weights=None)
    logged: dict[str, Tensor] = {}
    monkeypatch.setattr(task, "log", lambda name, value, **options: logged.update({name: value}))
    for seed in (0, 1):  # the second time, nothing is left of the first
        generator = torch.Generator().manual_seed(seed)
        expected, losses = np.zeros((2, 2), np.int64), list[float]()
        for height in (8, 12):
            images = torch.randint(256, (1, 3, height, 8), generator=generator).byte()
            label_maps = torch.randint(2, (1, height, 8), generator=generator).byte()
            task.validation_step((images, label_maps), 0)
            coarse = images[:, :2, ::2, ::2] / 255
            logits = F.interpolate(coarse, size=(height, 8), mode="bilinear", align_corners=False)
            predicted = logits.argmax(dim=1).byte()
            expected += confusion_matrix(truth=label_maps.numpy(), predicted=predicted.numpy(), num_classes=2)
            losses.append(float(F.cross_entropy(logits, label_maps.long())))
        task.on_validation_epoch_end()
        assert float(logged["val_loss"]) == pytest.approx(np.mean(losses))
        assert logged["val_mean_iou"] == pytest.approx(compute_scores(expected).mean_iou)
        assert logged["val_pixel_accuracy"] == pytest.approx(compute_scores(expected).pixel_accuracy)


def test_counting_needs_no_more_memory_than_some_label_maps(monkeypatch: pytest.MonkeyPatch) -> None:
    predicted, truth = torch.randint(11, (1, 90, 120)), torch.randint(11, (1, 90, 120), dtype=torch.uint8)
    truth[:, :5] = IGNORE_INDEX
    confusion = Confusion(11)
    monkeypatch.setattr(torch, "are_deterministic_algorithms_enabled", lambda: True)  # as in a training
    with torch.profiler.profile(profile_memory=True) as profiled:
        confusion.update(predicted, truth)
    assert max(event.cpu_memory_usage for event in profiled.events()) <= 4 * predicted.nbytes
    expected = confusion_matrix(truth=truth.numpy(), predicted=predicted.numpy(), num_classes=11)
    np.testing.assert_array_equal(confusion.compute(), expected)


class Local(Network):
    """Two of the image's channels, and the sizes of what it has seen."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[int, int]] = []

    def forward(self, images: Tensor) -> Tensor:
        self.seen.append((images.shape[-2], images.shape[-1]))
        return images[:, :2]


@pytest.mark.parametrize("enlarged", [1, 2])
def test_a_large_image_is_validated_by_tiles_and_scores_as_a_whole(
    enlarged: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    height, width = 200, 150
    images = torch.randint(256, (1, 3, height, width)).byte()
    label_maps = torch.randint(2, (1, enlarged * height, enlarged * width)).byte()
    label_maps[:, :70] = IGNORE_INDEX  # so that strips have unequal numbers of labelled pixels
    monkeypatch.setattr("segbench.prediction.tiles.LARGE_IMAGES_TILE_PX", 96)
    found = []
    for most_pixels, largest_px in ((height * width, height), (height * width - 1, 96)):
        monkeypatch.setattr("segbench.prediction.tiles.MOST_PIXELS", most_pixels)
        network = Local()
        task = Task(network, PARAMETERS.train, seed=0, num_classes=2, class_weights=None)
        task.validation_step((images, label_maps), 0)
        assert max(map(max, network.seen)) == largest_px
        found.append((task.confusion.compute(), task.validation_loss.compute()))
    (counts, loss), (tiled_counts, tiled_loss) = found
    assert int(counts.sum()) == int((label_maps != IGNORE_INDEX).sum())
    assert (counts - tiled_counts).abs().sum() <= 0.001 * counts.sum()  # logits that round to equal ones
    torch.testing.assert_close(tiled_loss, loss, rtol=1e-4, atol=0)
