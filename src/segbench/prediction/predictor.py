"""Prediction of images at their own size: whole or by tiles, seen once or as several views."""

import copy
import time
from collections.abc import Callable, Iterator, Sequence
from functools import reduce
from itertools import product
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from segbench import params
from segbench.datasets.prepared import Prepared
from segbench.images import RGBImage, scale_image, scaled_size
from segbench.labels import LabelMap
from segbench.models.subsampling import subsample_atrous_depthwise
from segbench.prediction.folding import fold_batch_norms
from segbench.prediction.tiles import blended_rows, resized_rows, scaled_rows, tile_px_of_large

Probabilities = NDArray[np.float32]
"""(num_classes, H, W) float32; they sum to 1 at each pixel."""


class View(NamedTuple):
    """One way to see an image: resized by this factor beside the common scale, and perhaps mirrored left to right."""

    scale: float
    flipped: bool


class Predictor:
    """Predicts with a model on the GPU if there is one, in float32; by default whole images, each seen once.

    The model is changed in place so that it computes the same faster: batch norms become part of the convolutions, and
    on a CPU, atrous depthwise convolutions work on subsampled images.

    scale: images are resized by this factor first; logits are then enlarged bilinearly to the image's own size.
    tile_px: side of the tiles, after scaling, by which images are predicted in bounded memory (see `tiles`); None:
    whole images. Test-time augmentation: with `flip`, images are seen mirrored, too, and they are seen at each of
    `scales`, factors beside `scale`; the views' probabilities are averaged. Each view costs a prediction, and by tiles
    sums of its own.
    """

    def __init__(
        self, model: nn.Module, *, scale: float, tile_px: int | None = None, flip: bool = False,
        scales: Sequence[float] = (1.0,),
    ) -> None:  # fmt: skip
        torch.backends.cudnn.allow_tf32 = False  # TF32's fraction has 10 bits, float32's has 23
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.model = model.eval().to(self.device)
        fold_batch_norms(self.model, device=self.device)
        if self.device.type == "cpu":
            subsample_atrous_depthwise(self.model)
        self.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.scale = scale
        self.tile_px = tile_px
        self.views = [View(*view) for view in product(scales, (False, True) if flip else (False,))]

    @classmethod
    def seeing(cls, model: nn.Module, seen: params.ModelInput, data: Prepared) -> "Predictor":
        """As a dataset's `input` in params.yaml says; without `tile_px`, by tiles if the dataset has large images."""
        views = seen.test_time
        largest = max(data.rows, key=lambda row: row.height_px * row.width_px)
        of_large = tile_px_of_large((largest.height_px, largest.width_px), scale=seen.scale * max(views.scales))
        return cls(model, scale=seen.scale, tile_px=seen.tile_px or of_large, flip=views.flip, scales=views.scales)

    def by_tiles(self, tile_px: int) -> "Predictor":
        """The same network, predicting by tiles of this side."""
        tiled = copy.copy(self)
        tiled.tile_px = tile_px
        return tiled

    @property
    def sees_whole_images_once(self) -> bool:
        """Neither by tiles nor in several views."""
        return self.tile_px is None and self.views == [View(1.0, False)]

    def input(self, image: RGBImage) -> Tensor:
        """The model's input: (H, W, 3) uint8 RGB -> (1, 3, scaled H, scaled W) float RGB in 0..1, on the device"""
        return self._pixels(scale_image(image, scale=self.scale))

    def strips(self, image: RGBImage) -> Iterator[tuple[int, Probabilities]]:
        """(H, W, 3) uint8 RGB -> (first row, (C, n, W) probabilities) from top to bottom.

        By tiles a few rows at a time, else the whole image at once.
        """
        first = 0
        for strip in self._strips(image):
            yield first, strip.cpu().numpy()
            first += strip.shape[1]

    def probabilities(self, image: RGBImage) -> Probabilities:
        """(H, W, 3) uint8 RGB -> (C, H, W) float32 probabilities, also where they are made by tiles"""
        strips = [strip for _, strip in self.strips(image)]
        return strips[0] if len(strips) == 1 else np.concatenate(strips, axis=1)

    @torch.inference_mode()
    def label_map(self, image: RGBImage) -> LabelMap:
        """(H, W, 3) uint8 RGB -> (H, W) label map of the most probable classes"""
        if self.sees_whole_images_once:  # the largest logit needs no probabilities
            return _largest(self._logits(image, self.views[0]))
        label_map, first = np.empty(image.shape[:2], np.uint8), 0
        for strip in self._strips(image):
            label_map[first : first + strip.shape[1]] = _largest(strip)
            first += strip.shape[1]
        return label_map

    @torch.inference_mode()
    def _strips(self, image: RGBImage) -> Iterator[Tensor]:
        """(C, n, W) probabilities on the device, from top to bottom: the mean over the views"""
        for strips in zip(*(self._view_strips(image, view) for view in self.views), strict=True):
            yield _mean(strips, of_pairs=self.views[-1].flipped) if len(strips) > 1 else strips[0]

    def _view_strips(self, image: RGBImage, view: View) -> Iterator[Tensor]:
        """(C, n, W) probabilities of one view"""
        logits = iter([self._logits(image, view)]) if self.tile_px is None else self._tiled_logits(image, view)
        for strip in logits:
            yield strip.softmax(dim=0)

    def _logits(self, image: RGBImage, view: View) -> Tensor:
        """(H, W, 3) uint8 RGB -> (C, H, W) logits on the device"""
        pixels = self._pixels(_turned(scale_image(image, scale=self.scale * view.scale), view))
        logits = F.interpolate(self.model(pixels), size=image.shape[:2], mode="bilinear", align_corners=False)[0]
        return logits.flip(-1) if view.flipped else logits

    def _tiled_logits(self, image: RGBImage, view: View) -> Iterator[Tensor]:
        """(H, W, 3) uint8 RGB -> (C, n, W) logits, from top to bottom"""
        assert self.tile_px is not None
        scale = self.scale * view.scale
        size, to = scaled_size(image, scale=scale), (image.shape[0], image.shape[1])

        def rows(first: int, last: int) -> RGBImage:
            return _turned(scaled_rows(image, first, last, scale=scale), view)

        def logits_of(tile: RGBImage) -> Tensor:
            logits: Tensor = self.model(self._pixels(tile))
            return logits

        blocks = blended_rows(rows, logits_of, size=size, tile_px=self.tile_px)
        for strip in resized_rows(blocks, size=size, to=to):
            yield strip.flip(-1) if view.flipped else strip

    def _pixels(self, scaled: RGBImage) -> Tensor:
        """(h, w, 3) uint8 RGB -> (1, 3, h, w) float RGB in 0..1, on the device"""
        pixels = torch.from_numpy(np.array(scaled)).to(self.device)
        return pixels.permute(2, 0, 1)[None].float().div(255).contiguous(memory_format=torch.channels_last)


def _turned(image: RGBImage, view: View) -> RGBImage:
    return image[:, ::-1] if view.flipped else image


def _largest(scores: Tensor) -> LabelMap:
    """(C, n, W) scores -> (n, W) classes with the largest ones"""
    return scores.argmax(dim=0).to(torch.uint8).cpu().numpy()


def _mean(strips: Sequence[Tensor], *, of_pairs: bool) -> Tensor:
    """The mean over views. of_pairs: an image and its mirror image are added first, so that their order is the same."""
    sums = [plain + flipped for plain, flipped in zip(strips[::2], strips[1::2], strict=True)] if of_pairs else strips
    return reduce(torch.add, sums) / len(strips)


def timed(function: Callable[..., Any], *arguments: Any) -> tuple[Any, float]:
    """The function's result, and the time that it took in ms."""
    start = time.perf_counter()
    result = function(*arguments)
    return result, 1000 * (time.perf_counter() - start)
