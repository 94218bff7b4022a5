"""Losses: worked by hand, against peers, and blind to pixels without a class."""

import numpy as np
import pytest
import segmentation_models_pytorch as smp
import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision.ops import sigmoid_focal_loss

from segbench.labels import IGNORE_INDEX
from segbench.params import LossName
from segbench.training.losses import LOSSES, loss_class_weights, weighted_sum

EVERY_LOSS = pytest.mark.parametrize("name", LOSSES)
EQUAL_OR_NOT = pytest.mark.parametrize("class_weights", [None, torch.tensor([0.5, 1.5, 1.0])])


def some_batch(num_classes: int = 3) -> tuple[Tensor, Tensor]:
    """Logits that carry gradients, and label maps with a tenth of the pixels ignored."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, num_classes, 16, 24, generator=generator, requires_grad=True)
    label_maps = torch.randint(num_classes, (2, 16, 24), generator=generator)
    label_maps[torch.rand(2, 16, 24, generator=generator) < 0.1] = IGNORE_INDEX
    return logits, label_maps.byte()


# Two images of 1x2 pixels. Probabilities of class 0: 0.8 and 0.4; 0.9 and 0.5. True classes: 0 and 1; none and 1.
FIRST = torch.tensor([[[0.8, 0.4]], [[0.9, 0.5]]])
LOGITS = torch.stack([FIRST, 1 - FIRST], dim=1).log()
LABEL_MAPS = torch.tensor([[[0, 1]], [[IGNORE_INDEX, 1]]], dtype=torch.uint8)
DICE_0, DICE_1 = 2 * 0.8 / (0.8 + 0.4 + 0.5 + 1), 2 * (0.6 + 0.5) / (0.2 + 0.6 + 0.5 + 2)


@pytest.mark.parametrize(
    ("name", "equal", "weighted"),
    [
        (
            "cross_entropy",
            -(np.log(0.8) + np.log(0.6) + np.log(0.5)) / 3,
            -(np.log(0.8) + 3 * np.log(0.6) + 3 * np.log(0.5)) / 7,
        ),
        (
            "focal",
            -(0.2**2 * np.log(0.8) + 0.4**2 * np.log(0.6) + 0.5**2 * np.log(0.5)) / 3,
            -(0.2**2 * np.log(0.8) + 3 * 0.4**2 * np.log(0.6) + 3 * 0.5**2 * np.log(0.5)) / 7,
        ),
        ("dice", 1 - (DICE_0 + DICE_1) / 2, 1 - (DICE_0 + 3 * DICE_1) / 4),
    ],
)
def test_losses_by_hand(name: LossName, equal: float, weighted: float) -> None:
    for class_weights, expected in ((None, equal), (torch.tensor([1.0, 3.0]), weighted)):
        loss = weighted_sum(LOGITS, LABEL_MAPS, terms={name: 1}, class_weights=class_weights)
        assert float(loss) == pytest.approx(expected, rel=1e-5)


def test_a_sum_of_losses_by_hand() -> None:
    loss = weighted_sum(LOGITS, LABEL_MAPS, terms={"cross_entropy": 1, "dice": 0.5}, class_weights=None)
    expected = -(np.log(0.8) + np.log(0.6) + np.log(0.5)) / 3 + 0.5 * (1 - (DICE_0 + DICE_1) / 2)
    assert float(loss) == pytest.approx(expected, rel=1e-5)


@EQUAL_OR_NOT
def test_cross_entropy_is_torchs_mean(class_weights: Tensor | None) -> None:
    logits, label_maps = some_batch()
    expected = F.cross_entropy(logits, label_maps.long(), weight=class_weights, ignore_index=IGNORE_INDEX)
    torch.testing.assert_close(LOSSES["cross_entropy"](logits, label_maps.long(), class_weights), expected)


def test_plain_cross_entropy_is_so_to_the_last_bit() -> None:
    logits, label_maps = some_batch()
    targets = label_maps.long()
    total = F.cross_entropy(logits, targets, ignore_index=IGNORE_INDEX, reduction="sum")
    loss = weighted_sum(logits, label_maps, terms={"cross_entropy": 1}, class_weights=None)
    assert torch.equal(loss, total / float((targets != IGNORE_INDEX).sum()))


def test_focal_of_two_classes_is_torchvisions() -> None:
    logits, label_maps = some_batch(num_classes=2)
    labelled = label_maps != IGNORE_INDEX
    expected = sigmoid_focal_loss(
        (logits[:, 1] - logits[:, 0])[labelled], label_maps[labelled].float(), alpha=-1, gamma=2, reduction="mean"
    )
    torch.testing.assert_close(LOSSES["focal"](logits, label_maps.long(), None), expected)


@EQUAL_OR_NOT
def test_dice_is_segmentation_models_pytorchs(class_weights: Tensor | None) -> None:
    logits, label_maps = some_batch()
    peer = smp.losses.DiceLoss("multiclass", ignore_index=IGNORE_INDEX, class_weights=class_weights)
    torch.testing.assert_close(
        LOSSES["dice"](logits, label_maps.long(), class_weights), peer(logits, label_maps.long())
    )


def test_dice_leaves_out_a_class_that_a_batch_does_not_show() -> None:
    logits, label_maps = some_batch(num_classes=2)
    absent = torch.full_like(logits[:, :1], -1e4)
    without = LOSSES["dice"](logits, label_maps.long(), None)
    torch.testing.assert_close(LOSSES["dice"](torch.cat([logits, absent], dim=1), label_maps.long(), None), without)


@EVERY_LOSS
@EQUAL_OR_NOT
def test_pixels_without_a_class_neither_count_nor_learn(name: LossName, class_weights: Tensor | None) -> None:
    logits, label_maps = some_batch()
    ignored = (label_maps == IGNORE_INDEX)[:, None].expand_as(logits)
    loss = weighted_sum(logits, label_maps, terms={name: 1}, class_weights=class_weights)
    (gradients,) = torch.autograd.grad(loss, logits)
    assert torch.all(gradients[ignored] == 0) and torch.any(gradients[~ignored] != 0)
    others = torch.where(ignored, 50.0, logits)
    torch.testing.assert_close(weighted_sum(others, label_maps, terms={name: 1}, class_weights=class_weights), loss)


@EVERY_LOSS
@EQUAL_OR_NOT
def test_a_batch_without_labelled_pixels_has_loss_zero(name: LossName, class_weights: Tensor | None) -> None:
    logits, label_maps = some_batch()
    nothing = torch.full_like(label_maps, IGNORE_INDEX)
    loss = weighted_sum(logits, nothing, terms={name: 1}, class_weights=class_weights)
    assert loss.item() == 0
    assert torch.all(torch.autograd.grad(loss, logits)[0] == 0)


@EVERY_LOSS
def test_a_loss_falls_until_every_pixel_is_right(name: LossName) -> None:
    logits, label_maps = some_batch()
    optimizer = torch.optim.Adam([logits], lr=0.5)
    for _ in range(100):
        optimizer.zero_grad()
        weighted_sum(logits, label_maps, terms={name: 1}, class_weights=None).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    labelled = label_maps != IGNORE_INDEX
    assert torch.equal(logits.argmax(dim=1)[labelled], label_maps[labelled].long())


def test_class_weights_by_hand() -> None:
    # Two images of 100 pixels: class 0 has 150, class 1 has 50 (all in the second), class 2 has none.
    class_pixels = np.array([[100, 0, 0], [50, 50, 0]])
    inverse = loss_class_weights("inverse_frequency", class_pixels)
    median = loss_class_weights("median_frequency", class_pixels)
    assert inverse is not None and median is not None
    np.testing.assert_allclose(inverse, np.array([200 / 150, 200 / 50, 0]) / (16 / 6), rtol=1e-6)
    np.testing.assert_allclose(median, np.array([200 / 150, 100 / 50, 0]) / (10 / 6), rtol=1e-6)
    assert loss_class_weights("none", class_pixels) is None
