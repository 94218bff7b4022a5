"""The learning rate of each step and each group of parameters."""

from itertools import pairwise

import pytest
import torch
from torch import nn

from segbench import params
from segbench.training.schedule import build_optimizer, build_scheduler, learning_rate_factor
from tests.parameters import PARAMETERS


def test_the_learning_rate_warms_up_and_decays_to_zero() -> None:
    factors = [learning_rate_factor(step, num_steps=100, warmup_steps=10, power=0.9) for step in range(101)]
    assert factors[0] == pytest.approx(1 / 11)
    assert all(a < b for a, b in pairwise(factors[:11]))
    assert factors[10] == 1
    assert factors[55] == pytest.approx(0.5**0.9)
    assert factors[100] == 0


def a_network() -> nn.Module:
    """A backbone and a head, each a convolution with a bias and batch norm."""
    return nn.ModuleDict(
        {name: nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)) for name in ("backbone", "head")}
    )  # fmt: skip


def a_schedule(**changes: object) -> params.Train:
    settings = {"lr": 0.01, "backbone_lr_factor": 0.25, "weight_decay": 0.1, "warmup_epochs": 2, "epochs": 10}
    return PARAMETERS.train.model_copy(update={**settings, **changes})


@pytest.mark.parametrize(("optimizer", "kind"), [("adamw", torch.optim.AdamW), ("sgd", torch.optim.SGD)])
def test_the_backbone_has_its_own_rate_and_only_weights_of_convolutions_decay(optimizer: str, kind: type) -> None:
    network = a_network()
    built = build_optimizer(network, a_schedule(optimizer=optimizer, momentum=0.7))
    assert type(built) is kind
    name_of = {parameter: name for name, parameter in network.named_parameters()}
    found = {
        name_of[parameter]: (group["lr"], group["weight_decay"])
        for group in built.param_groups
        for parameter in group["params"]
    }
    assert found == {
        "backbone.0.weight": (0.0025, 0.1), "backbone.0.bias": (0.0025, 0), "backbone.1.weight": (0.0025, 0),
        "backbone.1.bias": (0.0025, 0), "head.0.weight": (0.01, 0.1), "head.0.bias": (0.01, 0),
        "head.1.weight": (0.01, 0), "head.1.bias": (0.01, 0),
    }  # fmt: skip
    assert built.param_groups[0]["lr"] == 0.01  # what the learning curves show
    if optimizer == "sgd":
        assert {group["momentum"] for group in built.param_groups} == {0.7}


def test_each_group_warms_up_to_its_own_rate() -> None:
    """Of 10 epochs with 2 steps each, the first 2 are the warm-up: 4 steps, at a fifth more each."""
    optimizer = build_optimizer(a_network(), a_schedule(poly_power=0.5))
    scheduler = build_scheduler(optimizer, a_schedule(poly_power=0.5), num_steps=20)
    factors = []
    for _ in range(20):
        head, backbone = optimizer.param_groups[0]["lr"], optimizer.param_groups[-1]["lr"]
        assert backbone == pytest.approx(head / 4)
        factors.append(head / 0.01)
        optimizer.step()
        scheduler.step()
    assert factors[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1])
    assert factors[-1] == pytest.approx((1 / 16) ** 0.5)
