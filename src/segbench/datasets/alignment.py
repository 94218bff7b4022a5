"""How well the edges of a label map lie on those of its image, in place and at every shift.

Where a label map was wrapped around at its side, shifted, mirrored or taken from another image, its edges do not lie on
the image's. The audit names two of CamVid's 701 label maps: test/Seq05VD_f02610, which is wrapped by 88 px, and
train/0016E5_05760, a false alarm with few and faint edges. Of every sixth label map of CamVid and of 100 drawn scenes
of 128x96 px, each with one planted fault among good ones, it names these shares, in per cent. A cell is a 128th of the
longer side, 4 px in CamVid and 1 px in the scenes:

    fault                CamVid  scenes
    none                      0       0
    wrapped by 1 cell         0       0
    wrapped by 2 cells       79       1
    wrapped by 3 cells      100     100
    wrapped by 8 cells      100     100
    shifted by 3 cells       99     100
    mirrored                 98      99
    of another image         99     100

It takes 0.9 ms for an image of 480x360 px, 4 % of its preparation.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.fft import irfft2, rfft2
from scipy.ndimage import uniform_filter

from segbench.images import RGBImage
from segbench.labels import LabelMap

CELLS = 128
"""Cells along the longer side: more take longer and find smaller shifts."""
WINDOW_CELLS = 17
"""Edges are compared after subtracting their mean over a window of this size, so that a busy region does not count."""
NEAR_CELLS = 1
"""A label map is in place even if it agrees best so many cells away: annotators and resizing are that coarse."""


@dataclass(frozen=True, slots=True)
class Alignment:
    """The correlation of edges in place and at the best shift, in standard deviations over all shifts.

    down_px, right_px: how far the label map has to be moved for the best agreement, around the sides where it leaves.
    """

    in_place: float
    best: float
    down_px: int
    right_px: int


def align(image: RGBImage, label_map: LabelMap) -> Alignment | None:
    """Compare edges of (H, W, 3) pixels and (H, W) labels. None if the labels or the image have no edges to compare."""
    cell_px = max(1, round(max(label_map.shape) / CELLS))
    height, width = (side // cell_px for side in label_map.shape)
    if not (height and width):  # narrower than a cell
        return None
    pixels = np.asarray(Image.fromarray(image).reduce(cell_px), np.float32)[:height, :width]
    labels = label_map[cell_px // 2 :: cell_px, cell_px // 2 :: cell_px][:height, :width]
    across = _spectrum(np.abs(pixels[:, 1:] - pixels[:, :-1]), labels[:, 1:] != labels[:, :-1], (height, width))
    along = _spectrum(np.abs(pixels[1:] - pixels[:-1]), labels[1:] != labels[:-1], (height, width))
    correlation = irfft2(across + along, (height, width))  # at every shift, around the sides
    deviation = correlation.std()
    if deviation < 1e-6:
        return None
    row, column = np.unravel_index(correlation.argmax(), correlation.shape)
    near = range(-NEAR_CELLS, NEAR_CELLS + 1)
    in_place = max(correlation[down % height, right % width] for down in near for right in near)
    return Alignment(
        in_place=round(float(in_place / deviation), 2),
        best=round(float(correlation.max() / deviation), 2),
        down_px=cell_px * _signed(int(row), height),
        right_px=cell_px * _signed(int(column), width),
    )


def _spectrum(
    contrast: NDArray[np.float32], is_boundary: NDArray[np.bool_], shape: tuple[int, int]
) -> NDArray[np.complex64]:
    """The transform of the correlation of edges in one direction. contrast: (H, W, 3); is_boundary: (H, W)."""
    red, green, blue = contrast.transpose(2, 0, 1)
    strongest = np.maximum(np.maximum(red, green), blue)  # contrast.max(axis=2), but thirty times as fast
    in_image = np.sqrt(strongest)  # so that a few strong edges do not decide alone
    in_labels = is_boundary.astype(np.float32)
    found: NDArray[np.complex64] = rfft2(_local(in_image), shape) * np.conj(rfft2(_local(in_labels), shape))
    return found


def _local(edges: NDArray[np.float32]) -> NDArray[np.float32]:
    """Edges less their mean around."""
    less: NDArray[np.float32] = edges - uniform_filter(edges, WINDOW_CELLS, mode="nearest")
    return less


def _signed(shift: int, size: int) -> int:
    """0..size-1 -> the same shift around the sides, the nearest to zero."""
    return (shift + size // 2) % size - size // 2
