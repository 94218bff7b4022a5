"""Costs of computing a network: multiply-adds, and the saving of a sliding window that shares its convolutions."""

import math
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from segbench.images import RGBImage
from segbench.models.network import Sliding
from segbench.prediction.predictor import timed
from segbench.standins import TORCH_COMPILER, standing_in

SLIDING_STRIDES = (16, 8, 4, 2, 1)
REPEATS = 3
MOST_SIDE_PX = 256
"""Largest side of the part of an image that is compared: sliding over every pixel of a large one takes an hour."""


@dataclass(frozen=True)
class SlidingCosts:
    """Costs and results of the sliding window and its convolutional form at one stride, on one image or its middle."""

    stride: int
    num_positions: int
    slid_ms: float
    convolutional_ms: float
    slid_multiply_adds: int
    convolutional_multiply_adds: int
    largest_difference: float
    """The largest absolute difference between the scores of the two forms."""
    largest_score: float
    same_class: float
    """Share of the positions at which both forms find the same class most probable."""


def multiply_adds(compute: Callable[[], object]) -> int:
    """Number of multiply-adds in convolutions and matrix products; torch counts each as two FLOPs."""
    with standing_in(TORCH_COMPILER), FlopCounterMode(display=False) as counter:
        compute()
    return int(counter.get_total_flops()) // 2


def middle(images: Tensor) -> Tensor:
    """The middle of images (1, 3, H, W), at most MOST_SIDE_PX high and wide."""
    height, width = (min(side, MOST_SIDE_PX) for side in images.shape[-2:])
    top, left = round((images.shape[-2] - height) / 2), round((images.shape[-1] - width) / 2)
    return images[..., top : top + height, left : left + width]


def cut_middle(image: RGBImage, *, scale: float) -> RGBImage:
    """The part of a large image that `middle` needs after scaling, so that its float pixels fit into memory."""
    height, width = (min(side, math.ceil(MOST_SIDE_PX / scale)) for side in image.shape[:2])
    top, left = (image.shape[0] - height) // 2, (image.shape[1] - width) // 2
    return image[top : top + height, left : left + width]


@torch.no_grad()
def compare_forms(model: Sliding, images: Tensor) -> list[SlidingCosts]:
    """Compare the two forms at each of SLIDING_STRIDES. Times are medians of REPEATS runs, in turn, in float32.

    images: (1, 3, H, W) float RGB in 0..1.
    """
    results = []
    for stride in SLIDING_STRIDES:
        slide = partial(_finished, model.slid_scores, images, stride)
        convolve = partial(_finished, model.scores, images, stride)
        slid, convolutional = slide(), convolve()
        times = [(timed(slide)[1], timed(convolve)[1]) for _ in range(REPEATS)]
        slid_ms, convolutional_ms = map(statistics.median, zip(*times, strict=True))
        results.append(
            SlidingCosts(
                stride=stride,
                num_positions=slid.shape[-2] * slid.shape[-1],
                slid_ms=round(slid_ms, 3),
                convolutional_ms=round(convolutional_ms, 3),
                slid_multiply_adds=multiply_adds(slide),
                convolutional_multiply_adds=multiply_adds(convolve),
                largest_difference=float((slid - convolutional).abs().max()),
                largest_score=float(slid.abs().max()),
                same_class=float((slid.argmax(dim=1) == convolutional.argmax(dim=1)).float().mean()),
            )
        )
    return results


def _finished(form: Callable[..., Tensor], images: Tensor, stride: int) -> Tensor:
    """The scores, copied to the CPU, so that a GPU has finished when the clock stops."""
    return form(images, stride=stride).cpu()
