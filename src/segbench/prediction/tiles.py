"""Logits of a large image by tiles that overlap, in memory that grows with the image's width and not with its area.

Tiles lie on a grid of rows and columns. Each row of tiles is added to sums as high as one tile; what the next row does
not reach is finished and handed on. A pixel's logits are the mean of its tiles', weighted by a Gaussian around each
tile's centre, as in MONAI's `sliding_window_inference`: near a tile's border, a network sees padding where the whole
image goes on. Tiles start at multiples of DEEPEST pixels, so that every stride's feature maps have the same grid as
those of the whole image.

A network that pools the image (PSPNet, DeepLab v3 and v3+) pools each tile instead: it sees no context beyond the tile.

Measured with the networks trained on `scenes`, on 1024x1024 px put together from 88 of their images: the share of
pixels with the whole image's class, and the processor time relative to the whole image's.

    tile_px, OVERLAP   FCN-8s   U-Net    FCN-32s  v3+      PSPNet   time
    256, 1/4           98.41    99.07    88.87    96.20    95.66 %  1.3 to 2.1
    256, 1/2           99.23    99.67    93.61    97.87    97.38 %  2.5 to 3.8
    384, 1/4           99.75    99.96    98.35    99.04    98.62 %  1.8 to 2.5
    512, 1/4           99.91    99.99    99.67    99.65    99.37 %  1.8 to 2.3
    768, 1/4           99.99    100.00   99.97    99.90    99.54 %  2.0 to 2.3

Larger tiles agree better than smaller ones that overlap more, for less time; so the overlap is a quarter. With tiles of
512 px, DeepLab v1 has 99.83 %, v2 99.17 %, v3 99.56 %, and with tiles of 768 px 99.99 %, 99.93 % and 99.89 %; the
sliding window and the colour baseline have 100.00 %.
"""

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from segbench.images import RGBImage, scaled_size
from segbench.models.network import DEEPEST

OVERLAP = 0.25
"""Neighbouring tiles share at least this part of their side."""
SIGMA = 0.125
"""Of the Gaussian weights, relative to a tile's side; MONAI's default."""
STRIP_ROWS = DEEPEST
"""Rows that are handed on at a time; tiles start at multiples of it."""
MOST_PIXELS = 4_000_000
LARGE_IMAGES_TILE_PX = 768
"""An image of more pixels, after scaling, is predicted by tiles of this side, unless another is given.

U-Net takes a GiB per million pixels. By such tiles more than 99.5 % of the pixels have the whole image's class; see
reports/benchmarks/views.md.
"""


def tile_px_of_large(size: tuple[int, int], *, scale: float) -> int | None:
    """The side of the tiles for an image of (H, W) = size pixels where none is given; None: the image as a whole."""
    height, width = size
    return LARGE_IMAGES_TILE_PX if height * width * scale**2 > MOST_PIXELS else None


def tile_starts(side_px: int, *, tile_px: int) -> list[int]:
    """Where tiles start along a side: multiples of DEEPEST from 0, evenly spread.

    The last tile ends with the side, rounded up to a multiple of DEEPEST, to which networks pad it. tile_px: a multiple
    of DEEPEST.
    """
    strides = math.ceil(side_px / DEEPEST) - tile_px // DEEPEST
    if strides <= 0:
        return [0]
    num_steps = math.ceil(strides / max(1, int((1 - OVERLAP) * tile_px) // DEEPEST))
    return [DEEPEST * (strides * step // num_steps) for step in range(num_steps + 1)]


def blending_weights(starts: Sequence[int], *, side_px: int, tile_px: int) -> list[Tensor]:
    """The weights of each tile's pixels along a side: float32, one tensor per tile; at each pixel, they sum to 1."""
    distances_px = np.arange(side_px) - (np.array(starts)[:, None] + (tile_px - 1) / 2)
    gaussians = np.exp(-((distances_px / (SIGMA * tile_px)) ** 2) / 2) * (np.abs(distances_px) < tile_px / 2)
    shares = torch.from_numpy(gaussians / gaussians.sum(axis=0)).float()
    return [share[start : start + tile_px] for start, share in zip(starts, shares, strict=True)]


def blended_rows(
    rows: Callable[[int, int], RGBImage], logits_of: Callable[[RGBImage], Tensor], *, size: tuple[int, int],
    tile_px: int,
) -> Iterator[Tensor]:  # fmt: skip
    """The logits of an image from top to bottom: (C, n, W) of its next STRIP_ROWS rows, of fewer at the end.

    rows: the image's rows from the first to before the second; logits_of: (h, w, 3) tile -> (1, C, h, w) logits;
    size: (H, W). What is yielded is overwritten afterwards.
    """
    height, width = size
    tops, lefts = (tile_starts(side, tile_px=tile_px) for side in size)
    down, across = (
        blending_weights(starts, side_px=side, tile_px=tile_px)
        for starts, side in zip((tops, lefts), size, strict=True)
    )
    sums = torch.empty(0)  # (C, tile_px, W): of the rows that the current row of tiles covers
    for top, next_top, row_weights in zip(tops, [*tops[1:], height], down, strict=True):
        covered = rows(top, min(top + tile_px, height))
        for left, column_weights in zip(lefts, across, strict=True):
            (logits,) = logits_of(covered[:, left : left + tile_px])
            if not sums.numel():
                sums = logits.new_zeros(len(logits), min(tile_px, height), width)
            weights = torch.outer(row_weights, column_weights).to(logits.device)
            sums[:, : len(row_weights), left : left + len(column_weights)].addcmul_(logits, weights)
        finished = next_top - top
        for first in range(0, finished, STRIP_ROWS):
            yield sums[:, first : min(first + STRIP_ROWS, finished)]
        left_over = sums[:, finished:].clone()
        sums[:, : left_over.shape[1]] = left_over
        sums[:, left_over.shape[1] :] = 0


def resized_rows(blocks: Iterator[Tensor], *, size: tuple[int, int], to: tuple[int, int]) -> Iterator[Tensor]:
    """Bilinear interpolation as by `F.interpolate(align_corners=False)`, of an image that comes in blocks of its rows.

    blocks: (C, n, w) from top to bottom, of an image of (h, w) = size -> (C, m, W) of the next STRIP_ROWS rows of the
    image of (H, W) = to.
    """
    if size == to:
        yield from blocks
        return
    held, held_from = next(blocks).clone(), 0
    for first in range(0, to[0], STRIP_ROWS):
        rows = torch.arange(first, min(first + STRIP_ROWS, to[0]), dtype=torch.float64)
        centers = ((rows + 0.5) * (size[0] / to[0]) - 0.5).clamp(min=0, max=size[0] - 1)
        above = centers.long()
        below = (above + 1).clamp(max=size[0] - 1)
        while held_from + held.shape[1] <= below[-1]:
            held = torch.cat([held, next(blocks)], dim=1)
            passed = min(int(above[0]) - held_from, held.shape[1])
            held, held_from = held[:, passed:], held_from + passed
        shares = (centers - above).to(held)[:, None]
        upper, lower = (held[:, (of - held_from).to(held.device)] for of in (above, below))
        between = torch.lerp(upper, lower, shares)  # (C, m, w)
        yield F.interpolate(between[None], size=(len(rows), to[1]), mode="bilinear", align_corners=False)[0]


def scaled_rows(image: RGBImage, first: int, last: int, *, scale: float) -> RGBImage:
    """The rows from first to before last of what `scale_image` gives, from the image's rows that they depend on."""
    (height, width), size = image.shape[:2], scaled_size(image, scale=scale)
    if size == (height, width):
        return image[first:last]
    ratio = height / size[0]
    reach_px = max(1.0, ratio) + 1  # the filter's, and one for rounding
    top, bottom = max(0, math.floor(first * ratio - reach_px)), min(height, math.ceil(last * ratio + reach_px))
    box = (0, first * ratio - top, width, min(last * ratio, height) - top)
    part = Image.fromarray(image[top:bottom])
    return np.asarray(part.resize((size[1], last - first), Image.Resampling.BILINEAR, box=box))
