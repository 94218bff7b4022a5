"""The dense CRF on a large image by tiles that overlap, in memory that grows with the image's width, not with its area.

Of each tile, only the middle is kept: the margin around it is context. The kernels keep their width in pixels, but join
no pixels of different tiles, so that a wide appearance kernel sees less of the image than on the whole.

Measured on 768x768 px, a drawn scene and one put together from 48 images, with two networks trained on `scenes` and
the parameters that were chosen for them. With tiles of 512 px, 99.9 and 99.6 % of pixels have the label of the CRF on
the whole image for FCN-8s, whose appearance kernel is 56 px wide, and 99.0 and 99.3 % for FCN-32s with 100 px; with
256 px, 99.7 and 98.5 %, 97.6 and 90.5 %. Tiles of 512 px take 0.7 to 1.7 times the processor time. TILE_BYTES allow
1,016 px for 9 classes, 888 px for 20 and 407 px for 150.
"""

import math
from collections import deque
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from segbench.crf.energy import CRFParameters
from segbench.crf.inference import refined_label_map
from segbench.crf.memory import bytes_per_image
from segbench.crf.tuning import TuningImage
from segbench.images import RGBImage
from segbench.labels import LabelMap
from segbench.parallel import map_in_order
from segbench.prediction.predictor import Probabilities

TILE_BYTES = 2**30
"""About what refining one tile takes."""
MARGIN = 0.125
"""Of a tile's side, at each end of it, at least this part is context alone."""

Strips = Iterator[tuple[int, Probabilities]]
"""The first row and (C, n, W) probabilities of the next rows of an image, from top to bottom."""


class Span(NamedTuple):
    """Pixels of a tile along one side, from `first` to before `last`, and those that are kept."""

    first: int
    last: int
    kept_first: int
    kept_last: int

    @property
    def kept(self) -> slice:
        """What is kept, counted from the tile's first pixel."""
        return slice(self.kept_first - self.first, self.kept_last - self.first)


def affordable_side_px(*, num_classes: int) -> int:
    """The side of the largest tile that can be refined in TILE_BYTES. It is the same on every machine."""
    return int(math.sqrt(TILE_BYTES / bytes_per_image(num_classes=num_classes, num_pixels=1)))


def spans(side_px: int, *, tile_px: int) -> list[Span]:
    """Tiles along a side, evenly spread; neighbours part in the middle of what they share."""
    if side_px <= tile_px:
        return [Span(0, side_px, 0, side_px)]
    margin_px = math.ceil(MARGIN * tile_px)
    num_steps = math.ceil((side_px - tile_px) / max(1, tile_px - 2 * margin_px))
    firsts = [(side_px - tile_px) * step // num_steps for step in range(num_steps + 1)]
    borders = [0, *((before + tile_px + after) // 2 for before, after in pairwise(firsts)), side_px]
    return [Span(first, first + tile_px, *kept) for first, kept in zip(firsts, pairwise(borders), strict=True)]


def refined_by_tiles(
    image: RGBImage, strips: Strips, parameters: CRFParameters | None, *, tile_px: int, workers: int,
    device: str = "cpu",
) -> LabelMap:  # fmt: skip
    """(H, W) label map as by `refined_label_map`, tile by tile; the same where one tile holds the whole image.

    strips: the network's probabilities, of which only those of one row of tiles are kept; workers: threads, each for a
    tile at a time.
    """
    height, width = image.shape[:2]
    label_map = np.empty((height, width), np.uint8)
    columns = spans(width, tile_px=tile_px)
    held: deque[tuple[int, Probabilities]] = deque()
    for rows in spans(height, tile_px=tile_px):
        while held and _end(held[0]) <= rows.first:
            held.popleft()
        while not held or _end(held[-1]) < rows.last:
            held.append(next(strips))

        def refined(across: Span, down: Span = rows) -> LabelMap:
            probabilities = _window(held, down=(down.first, down.last), across=(across.first, across.last))
            tile = image[down.first : down.last, across.first : across.last]
            fitted = parameters and parameters.within(tile.shape[:2], of=(height, width))
            return refined_label_map(tile, probabilities, fitted, device=device)[down.kept, across.kept]

        for across, tile in zip(columns, map_in_order(refined, columns, workers=workers), strict=True):
            label_map[rows.kept_first : rows.kept_last, across.kept_first : across.kept_last] = tile
    return label_map


def uniform_strips(image: RGBImage, *, num_classes: int) -> Strips:
    """Equal probabilities of all classes, in hardly any memory. Refining takes as long as with a network's."""
    yield 0, np.broadcast_to(np.float32(1 / num_classes), (num_classes, *image.shape[:2]))


def tuning_window(
    image: RGBImage, strips: Strips, truth: LabelMap, *, tile_px: int, rng: np.random.Generator
) -> TuningImage:
    """The part of an image at a random place that is as large as a tile, or the whole image if a tile holds it."""
    sizes = [min(side, tile_px) for side in truth.shape]
    top, left = (int(rng.integers(side - size + 1)) for side, size in zip(truth.shape, sizes, strict=True))
    bottom, right = top + sizes[0], left + sizes[1]
    inside = deque((first, strip) for first, strip in strips if first < bottom and _end((first, strip)) > top)
    return TuningImage(
        image[top:bottom, left:right].copy(),
        _window(inside, down=(top, bottom), across=(left, right)),
        truth[top:bottom, left:right].copy(),
        whole_px=(truth.shape[0], truth.shape[1]),
    )


def _end(strip: tuple[int, Probabilities]) -> int:
    first, probabilities = strip
    return first + probabilities.shape[1]


def _window(held: deque[tuple[int, Probabilities]], *, down: tuple[int, int], across: tuple[int, int]) -> Probabilities:
    """(C, h, w) probabilities of a part of the rows that strips hold."""
    columns = np.concatenate([strip[..., across[0] : across[1]] for _, strip in held], axis=1)
    first_row = held[0][0]
    return columns[:, down[0] - first_row : down[1] - first_row]
