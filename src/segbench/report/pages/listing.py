"""Sentences that list models."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

MOST_NAMED = 5


def by_value(values: Mapping[str, Any]) -> dict[Any, list[str]]:
    """Models by what they have, the commonest value first."""
    models: dict[Any, list[str]] = defaultdict(list)
    for model, value in values.items():
        models[value].append(model)
    return dict(sorted(models.items(), key=lambda item: -len(item[1])))


def with_models(values: Mapping[str, str]) -> str:
    """Each value and its models, the commonest value first: `40 (unet and fcn_8s), 80 (pspnet)`."""
    return ", ".join(f"{value} ({listed(models)})" for value, models in by_value(values).items())


def on_machines(machines: Mapping[str, str]) -> str:
    """Models and their machines, the commonest machine last: `unet on A; the others on B`. machines: by model."""
    (commonest, most), *rarer = by_value(machines).items()
    others = "the others" if rarer and len(most) > 1 else listed(most)
    return "; ".join([*(f"{listed(models)} on {machine}" for machine, models in rarer), f"{others} on {commonest}"])


def listed(names: Sequence[str]) -> str:
    """`a, b and c`; of many, the first ones and how many more."""
    if len(names) > MOST_NAMED:
        return f"{', '.join(names[:MOST_NAMED])} and {len(names) - MOST_NAMED} more"
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last


def describe_left_out(left_out: Sequence[str], *, num_images: int) -> str:
    """Which test images the scores leave out, beside the `num_images` that are left; empty if none."""
    if not left_out:
        return ""
    return (
        f"Scores are made without {len(left_out)} of {num_images + len(left_out)} test images, as params.yaml says: "
        f"{listed(left_out)}."
    )


def describe_trainings(num_trainings: Mapping[str, int]) -> str:
    """How often each model was trained, which is by the number of its seeds, and which trainings are compared."""
    models = by_value(num_trainings)
    once = models.pop(1, [])
    if not models:
        trained = "Each model" if len(once) > 1 else listed(once)
        return f"{trained} was trained once, so how much scores differ between trainings is not known."
    if not once and len(models) == 1:
        ((number, repeated),) = models.items()
        trained = "Each model" if len(repeated) > 1 else listed(repeated)
        return f"{trained} was trained {number} times with different seeds. Scores are means over the trainings."
    several = ", ".join(f"{listed(repeated)} {number} times" for number, repeated in models.items())
    others = f", {'the others' if len(once) > 1 else listed(once)} once" if once else ""
    compared = min(num_trainings.values())
    first = "the first training" if compared == 1 else f"the first {compared} trainings"
    return (
        f"Trained with different seeds: {several}{others}. All models are compared by {first}; the further ones tell "
        "how much trainings differ."
    )
