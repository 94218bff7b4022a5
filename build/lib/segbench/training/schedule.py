"""The optimiser, and the learning rate of each step."""

from functools import partial

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from segbench import params


def learning_rate_factor(step: int, *, num_steps: int, warmup_steps: int, power: float) -> float:
    """The share of the full learning rate: linear warm-up, then polynomial decay to zero (Liu et al. 2015)."""
    if step < warmup_steps:
        return (step + 1) / (warmup_steps + 1)
    return float((1 - (step - warmup_steps) / max(1, num_steps - warmup_steps)) ** power)


def build_scheduler(optimizer: torch.optim.Optimizer, schedule: params.Train, *, num_steps: int) -> LambdaLR:
    """Warm-up and decay of every group's learning rate. num_steps: of the whole training."""
    warmup_steps = round(schedule.warmup_epochs * num_steps / schedule.epochs)
    factor = partial(learning_rate_factor, num_steps=num_steps, warmup_steps=warmup_steps, power=schedule.poly_power)
    return LambdaLR(optimizer, factor)


def build_optimizer(model: nn.Module, schedule: params.Train) -> torch.optim.Optimizer:
    """SGD or AdamW. The backbone has its own learning rate; biases and normalisation have no weight decay."""
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        key = (name.startswith("backbone."), parameter.ndim > 1)
        groups.setdefault(key, []).append(parameter)
    # The head comes first: the curves show the first group's learning rate.
    settings = [
        {
            "params": groups[key],
            "lr": schedule.lr * (schedule.backbone_lr_factor if key[0] else 1),
            "weight_decay": schedule.weight_decay if key[1] else 0.0,
        }
        for key in sorted(groups)
    ]
    if schedule.optimizer == "sgd":
        return torch.optim.SGD(settings, lr=schedule.lr, momentum=schedule.momentum)
    adamw = torch.optim.AdamW(settings, lr=schedule.lr, fused=True)
    adamw._step_supports_amp_scaling = False  # type: ignore[attr-defined]  # Lightning clips gradients after unscaling
    return adamw
