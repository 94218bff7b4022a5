"""Prediction of whole images at their own size."""

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
from segbench.models.subsampling import subsample_atrous_depthwise
from segbench.prediction.folding import fold_batch_norms

Probabilities = NDArray[np.float32]
"""(num_classes, H, W) float32; they sum to 1 at each pixel."""


class Predictor:
    """Predicts with a model on the GPU if there is one, in float32 and without augmentation: the protocol of all tests.

    The model is changed in place so that it computes the same faster: batch norms become part of the convolutions, and
    on a CPU, atrous depthwise convolutions work on subsampled images.

    scale: images are resized by this factor first; logits are then enlarged bilinearly to the image's own size.
    """

    def __init__(self, model: nn.Module, *, scale: float) -> None:
        torch.backends.cudnn.allow_tf32 = False  # TF32's fraction has 10 bits, float32's has 23
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.model = model.eval().to(self.device)
        fold_batch_norms(self.model, device=self.device)
        if self.device.type == "cpu":
            subsample_atrous_depthwise(self.model)
        self.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.scale = scale

    def input(self, image: RGBImage) -> torch.Tensor:
        """The model's input: (H, W, 3) uint8 RGB -> (1, 3, scaled H, scaled W) float RGB in 0..1, on the device"""
        pixels = torch.from_numpy(np.array(scale_image(image, scale=self.scale))).to(self.device)
        return pixels.permute(2, 0, 1)[None].float().div(255).contiguous(memory_format=torch.channels_last)

    @torch.inference_mode()
    def _logits(self, image: RGBImage) -> torch.Tensor:
        """(H, W, 3) uint8 RGB -> (1, C, H, W) logits on the device"""
        return F.interpolate(self.model(self.input(image)), size=image.shape[:2], mode="bilinear", align_corners=False)

    def probabilities(self, image: RGBImage) -> Probabilities:
        """(H, W, 3) uint8 RGB -> (C, H, W) float32 probabilities"""
        return self._logits(image)[0].softmax(dim=0).cpu().numpy()

    def label_map(self, image: RGBImage) -> LabelMap:
        """(H, W, 3) uint8 RGB -> (H, W) label map of the most probable classes"""
        return self._logits(image)[0].argmax(dim=0).to(torch.uint8).cpu().numpy()


def timed(function: Callable[..., Any], *arguments: Any) -> tuple[Any, float]:
    """The function's result, and the time that it took in ms."""
    start = time.perf_counter()
    result = function(*arguments)
    return result, 1000 * (time.perf_counter() - start)
