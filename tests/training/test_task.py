"""The loss, the optimiser and the validation of a training step."""

import torch
from torch import Tensor

from segbench import params
from segbench.models.network import LossTerm, Network
from segbench.training import losses
from segbench.training.task import Task
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
