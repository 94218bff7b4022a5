"""Tiles: the whole image's result in bounded memory, on the same grid of feature maps."""

import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segbench.images import RGBImage, scale_image, scaled_size
from segbench.models.build import build_model
from segbench.models.color_clusters import ColorClusters
from segbench.models.network import DEEPEST, Network, enlarge, size_of
from segbench.prediction.predictor import Predictor
from segbench.prediction.tiles import (
    OVERLAP,
    STRIP_ROWS,
    blended_rows,
    blending_weights,
    resized_rows,
    scaled_rows,
    tile_starts,
)
from tests.parameters import PARAMETERS


class Squares(Network):
    """Logits of five classes from the mean colours of squares of 32 px: where squares lie decides what they see."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 5, 1)
        nn.init.normal_(self.convolution.weight, std=30, generator=torch.Generator().manual_seed(0))
        nn.init.zeros_(self.convolution.bias)  # type: ignore[arg-type]

    def logits(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) -> (N, 5, H, W)"""
        return enlarge(self.convolution(F.avg_pool2d(images - 0.5, DEEPEST)), size_of(images))


def clouds(height: int, width: int, *, seed: int = 0) -> RGBImage:
    """A picture that is smooth over some twenty pixels."""
    coarse = np.random.default_rng(seed).integers(0, 256, (height // 20 + 2, width // 20 + 2, 3), np.uint8)
    enlarged = F.interpolate(torch.from_numpy(coarse).permute(2, 0, 1)[None].float(), scale_factor=20, mode="bilinear")
    return enlarged[0].permute(1, 2, 0).to(torch.uint8).numpy()[:height, :width]


@pytest.mark.parametrize("tile_px", [64, 96, 512])
@pytest.mark.parametrize("side_px", [1, 31, 64, 65, 97, 500, 1024, 10_000])
def test_tiles_cover_a_side_on_the_grid_of_the_feature_maps(side_px: int, tile_px: int) -> None:
    starts = tile_starts(side_px, tile_px=tile_px)
    padded = side_px + -side_px % DEEPEST
    assert starts[0] == 0 and all(start % DEEPEST == 0 for start in starts)
    assert starts[-1] == max(0, padded - tile_px)
    assert all(after - before <= (1 - OVERLAP) * tile_px for before, after in pairwise(starts))
    total = torch.zeros(side_px)
    for start, weights in zip(starts, blending_weights(starts, side_px=side_px, tile_px=tile_px), strict=True):
        assert len(weights) == min(tile_px, side_px - start) and bool((weights > 0).all())
        total[start : start + len(weights)] += weights
    torch.testing.assert_close(total, torch.ones(side_px))


def test_a_tiles_middle_weighs_more_than_its_border() -> None:
    first, second = blending_weights([0, 96], side_px=224, tile_px=128)
    assert bool((first[:96] == 1).all()) and bool((second[32:] == 1).all())
    torch.testing.assert_close(first[96:], second[:32].flip(0))
    assert bool((first[96:].diff() < 0).all()) and first[96] > 0.99 and first[127] < 0.01


@pytest.mark.parametrize("scale", [0.37, 0.5, 1.0, 1.6])
def test_rows_are_scaled_as_in_the_whole_image(scale: float) -> None:
    image = np.random.default_rng(0).integers(0, 256, (301, 200, 3), np.uint8)
    whole = scale_image(image, scale=scale)
    height, width = scaled_size(image, scale=scale)
    assert whole.shape == (height, width, 3)
    for first, last in ((0, 32), (32, 64), (64, 100), (height - 7, height), (0, height)):
        rows = scaled_rows(image, first, last, scale=scale)
        assert rows.shape == (last - first, width, 3)
        difference = np.abs(rows.astype(int) - whole[first:last])
        assert difference.max() <= 1 and (difference > 0).mean() < 0.001


def in_blocks(logits: Tensor) -> Iterator[Tensor]:
    """Blocks that are overwritten after the next one was asked for, as those of `blended_rows`."""
    for block in logits.split(STRIP_ROWS, dim=1):
        block = block.clone()
        yield block
        block.fill_(float("nan"))


@pytest.mark.parametrize("to", [(200, 90), (100, 45), (40, 200), (101, 45), (100, 46), (33, 45), (1, 1), (320, 320)])
def test_blocks_of_rows_are_resized_as_the_whole(to: tuple[int, int]) -> None:
    logits = torch.randn(3, 100, 45, generator=torch.Generator().manual_seed(0))
    expected = F.interpolate(logits[None], size=to, mode="bilinear", align_corners=False)[0]
    strips = [strip.clone() for strip in resized_rows(in_blocks(logits), size=(100, 45), to=to)]
    assert [strip.shape[1] for strip in strips[:-1]] == [STRIP_ROWS] * (len(strips) - 1)
    torch.testing.assert_close(torch.cat(strips, dim=1), expected, rtol=0, atol=1e-4)


def test_every_pixel_is_classified_where_it_lies() -> None:
    """Logits that are the pixels themselves: tiles, weights and blocks change nothing about them."""
    image = np.random.default_rng(0).integers(0, 256, (333, 270, 3), np.uint8)
    blocks = blended_rows(
        lambda first, last: image[first:last],
        lambda tile: torch.from_numpy(tile.copy()).permute(2, 0, 1)[None].float(),
        size=(333, 270),
        tile_px=96,
    )
    blended = torch.cat([block.clone() for block in blocks], dim=1).permute(1, 2, 0).numpy()
    np.testing.assert_allclose(blended, image, rtol=0, atol=1e-3)


@pytest.mark.parametrize("scale", [1.0, 0.5, 1.3])
@pytest.mark.parametrize("size", [(512, 608), (499, 613)])
def test_tiles_give_the_whole_images_result(size: tuple[int, int], scale: float) -> None:
    image = clouds(*size)
    whole, tiled = Predictor(Squares(), scale=scale), Predictor(Squares(), scale=scale, tile_px=256)
    expected = whole.label_map(image)
    assert len(np.unique(expected)) > 2
    assert (tiled.label_map(image) == expected).mean() > 0.999
    assert np.abs(tiled.probabilities(image) - whole.probabilities(image)).max() < 0.05


def untrained(name: str) -> nn.Module:
    """A network of params.yaml with random weights, and with scores that do not start at zero."""
    torch.manual_seed(0)
    without = PARAMETERS.backbone.model_copy(update={"weights": "none"})
    model = build_model(PARAMETERS.model(name), backbone=without, num_classes=5)
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)
    return model


@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_the_sliding_window_slides_over_tiles_too(scale: float) -> None:
    """It sees 16 pixels around a position, so that only tiles' borders differ from the whole image."""
    model, image = untrained("sliding_window"), np.random.default_rng(0).integers(0, 256, (301, 405, 3), np.uint8)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0  # the image's own statistics, or its patches would all be of one class
    pixels = torch.from_numpy(image).movedim(-1, 0)[None] / 255
    model.train()(F.interpolate(pixels, scale_factor=scale, mode="bilinear", antialias=True))
    model.eval()
    expected = Predictor(model, scale=scale).label_map(image)
    assert np.bincount(expected.ravel()).max() < 0.9 * expected.size
    assert (Predictor(model, scale=scale, tile_px=192).label_map(image) == expected).mean() > 0.995


@pytest.mark.parametrize("name", ["fcn_8s", "pspnet", "deeplab_v3", "sliding_window"])
def test_an_image_that_one_tile_holds_is_predicted_as_a_whole(name: str) -> None:
    model, image = untrained(name), clouds(90, 128)
    whole, tiled = Predictor(model, scale=1.0), Predictor(model, scale=1.0, tile_px=128)
    np.testing.assert_array_equal(tiled.probabilities(image), whole.probabilities(image))


def test_colours_alone_are_the_same_in_any_tile() -> None:
    model = ColorClusters(num_classes=4, num_clusters=8)
    for buffer in model.buffers():
        buffer.copy_(torch.rand(buffer.shape, generator=torch.Generator().manual_seed(len(buffer))))
    image = clouds(150, 230)
    whole, tiled = Predictor(model, scale=1.0), Predictor(model, scale=1.0, tile_px=64)
    np.testing.assert_array_equal(tiled.label_map(image), whole.label_map(image))


def test_strips_are_the_image_from_top_to_bottom() -> None:
    image = clouds(150, 230)
    predictor = Predictor(Squares(), scale=0.5, tile_px=64)
    next_row = 0
    for first, probabilities in predictor.strips(image):
        assert first == next_row and probabilities.shape == (5, min(STRIP_ROWS, 150 - first), 230)
        np.testing.assert_allclose(probabilities.sum(axis=0), 1, atol=1e-5)
        next_row += probabilities.shape[1]
    assert next_row == 150
    np.testing.assert_array_equal(predictor.probabilities(image).argmax(axis=0), predictor.label_map(image))


MEMORY = """
import numpy as np
from torch import nn
from segbench.machine import peak_memory_mib
from segbench.prediction.predictor import Predictor

predictor = Predictor(nn.Conv2d(3, 20, 1), scale=1.0, tile_px=512)
image = np.random.default_rng(0).integers(0, 256, (3_000, 10_000, 3), np.uint8)
assert predictor.label_map(image).shape == (3_000, 10_000)
print(peak_memory_mib())
"""


@pytest.mark.skipif(torch.cuda.is_available(), reason="counts RAM")
def test_a_large_image_needs_less_than_three_gibibytes() -> None:
    """Of 10,000x10,000 px with 20 classes: its logits alone would take 7.5 GiB, those of the 3,000 rows here 2.2 GiB.

    Further rows add three bytes of image and one byte of label map per pixel.
    """
    process = subprocess.run([sys.executable, "-c", MEMORY], capture_output=True, text=True, check=True)
    assert float(process.stdout) + 4 * 10_000 * (10_000 - 3_000) / 2**20 < 3 * 1024
