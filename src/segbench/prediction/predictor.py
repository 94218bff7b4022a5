"""Whole images in, probabilities at the images' own size out."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional as F

from segbench.images import RGBImage, scale_image
from segbench.labels import LabelMap

Probabilities = NDArray[np.float32]
"""(num_classes, H, W) float32, which sum to one at each pixel."""

WARM_UP_IMAGES = 3


class Predictor:
    """A model on the best device there is, in float32, without augmentation: the test protocol of every model.

    scale: images are resized by it first; logits are enlarged bilinearly to the image's own size.
    """

    def __init__(self, model: nn.Module, *, scale: float) -> None:
        torch.backends.cudnn.allow_tf32 = False  # 10 bits of a fraction's 23
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.model = model.eval().to(self.device).to(memory_format=torch.channels_last)
        self.scale = scale

    def input(self, image: RGBImage) -> torch.Tensor:
        """What the model sees: (H, W, 3) uint8 -> (1, 3, H, W) float RGB in 0..1, scaled, on the device"""
        pixels = torch.from_numpy(np.array(scale_image(image, scale=self.scale))).to(self.device)
        return pixels.permute(2, 0, 1)[None].float().div(255).contiguous(memory_format=torch.channels_last)

    @torch.inference_mode()
    def _logits(self, image: RGBImage) -> torch.Tensor:
        """(H, W, 3) uint8 -> (1, C, H, W) on the device"""
        return F.interpolate(self.model(self.input(image)), size=image.shape[:2], mode="bilinear", align_corners=False)

    def probabilities(self, image: RGBImage) -> Probabilities:
        """(H, W, 3) uint8 RGB -> (C, H, W) float32"""
        return self._logits(image)[0].softmax(dim=0).cpu().numpy()

    def label_map(self, image: RGBImage) -> LabelMap:
        """(H, W, 3) uint8 RGB -> (H, W) uint8 most probable classes"""
        return self._logits(image)[0].argmax(dim=0).to(torch.uint8).cpu().numpy()

    def warm_up(self, image: RGBImage) -> None:
        """Make the first timed image like the others."""
        for _ in range(WARM_UP_IMAGES):
            self.label_map(image)


def timed(function: Callable[..., Any], *arguments: Any) -> tuple[Any, float]:
    """The function's result and the milliseconds that it took."""
    start = time.perf_counter()
    result = function(*arguments)
    return result, 1000 * (time.perf_counter() - start)
