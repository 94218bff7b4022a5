"""Mean-field inference of the dense CRF, which moves a network's class boundaries to the edges of the image."""

from collections.abc import Sequence

import numpy as np

from segbench.crf.energy import CRFParameters
from segbench.errors import InputError
from segbench.images import RGBImage
from segbench.labels import LabelMap
from segbench.prediction.predictor import Probabilities

SUM_TOLERANCE = 1e-3


def refine(
    image: RGBImage, probabilities: Probabilities, parameters: CRFParameters, *, device: str = "cpu"
) -> Probabilities:
    """(H, W, 3) uint8 RGB and a network's (C, H, W) probabilities -> (C, H, W) refined probabilities.

    device: `cpu` uses one core and releases the GIL, so that threads can use the others; any other is a torch device.
    Raises InputError if the sizes differ, a probability is negative or not finite, or they do not sum to 1.
    """
    return refine_after(image, probabilities, parameters, steps=[parameters.steps], device=device)[0]


def refined_label_map(
    image: RGBImage, probabilities: Probabilities, parameters: CRFParameters | None, *, device: str = "cpu"
) -> LabelMap:
    """(H, W) label map of the most probable classes, after `refine` unless parameters are None."""
    if parameters is not None:
        probabilities = refine(image, probabilities, parameters, device=device)
    return probabilities.argmax(axis=0).astype(np.uint8)


def refine_after(
    image: RGBImage, probabilities: Probabilities, parameters: CRFParameters, *, steps: Sequence[int],
    device: str = "cpu",
) -> list[Probabilities]:  # fmt: skip
    """The results of `refine` after each of `steps`, ascending numbers of steps, which replace parameters.steps."""
    _check(image, probabilities)
    if not steps or min(steps) < 1 or sorted(set(steps)) != list(steps):
        raise InputError(f"steps are {list(steps)}; they must be at least 1, in ascending order")
    if device == "cpu":
        from segbench.crf import on_cpu

        return on_cpu.mean_field(image, probabilities, parameters, steps=steps)
    import torch

    from segbench.crf import in_torch

    return in_torch.mean_field(image, probabilities, parameters, steps=steps, device=torch.device(device))


def _check(image: RGBImage, probabilities: Probabilities) -> None:
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise InputError(f"the image is {image.dtype} {image.shape}; it must be uint8 (H, W, 3)")
    if probabilities.ndim != 3 or probabilities.shape[1:] != image.shape[:2]:
        expected = ("C", *image.shape[:2])
        raise InputError(f"probabilities are {probabilities.shape}; they must be ({', '.join(map(str, expected))})")
    if not np.isfinite(probabilities).all():
        raise InputError("a probability is not finite")
    if probabilities.min() < 0:
        raise InputError(f"a probability is {probabilities.min():g}; it must be at least 0")
    sums = probabilities.sum(axis=0)
    if np.abs(sums - 1).max() > SUM_TOLERANCE:
        raise InputError(
            f"probabilities sum to {sums.min():.3f}..{sums.max():.3f} over the classes; they must sum to 1"
        )
