"""How well a model meets the boundaries between classes: confusion matrices of the pixels near them, after trimaps."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from segbench.labels import IGNORE_INDEX, LabelMap
from segbench.scoring.metrics import Counts, class_pairs

_ABOVE, _BELOW, _LEFT, _RIGHT = np.s_[:-1, :], np.s_[1:, :], np.s_[:, :-1], np.s_[:, 1:]
NEIGHBOURS = ((_ABOVE, _BELOW), (_LEFT, _RIGHT), (_BELOW, _ABOVE), (_RIGHT, _LEFT))
"""A pixel, and the one that shares a side with it: below, right, above and left."""


def boundary_distances(truth: LabelMap) -> NDArray[np.float32]:
    """The distance of every pixel from the nearest boundary between two classes, in px.

    A boundary runs between two pixels that share a side and differ in class, so it is half a pixel from the centres of
    both. The distance is 0.5 plus the Euclidean distance to the centre of the nearest pixel on a boundary: along a
    straight boundary, rows of pixels have 0.5, 1.5, 2.5, ...

    A region without a class (IGNORE_INDEX) that touches two or more classes is a boundary too, and distances begin at
    its edge: Pascal VOC leaves the contours of its objects, 5 px wide, without a class, and the DeepLab papers score
    the pixels around them. A region inside a single class is no boundary.

    truth: (H, W) label map. Returns (H, W) float32; inf everywhere if there is no boundary.
    """
    has_class = truth != IGNORE_INDEX
    _, regions = cv2.connectedComponents((~has_class).astype(np.uint8), connectivity=8)  # 0: has a class
    touches = [
        np.stack([regions[there], truth[here]])[:, has_class[here] & ~has_class[there]] for here, there in NEIGHBOURS
    ]
    touched_regions, _ = np.unique(np.concatenate(touches, axis=1), axis=1)
    separates = np.bincount(touched_regions, minlength=regions.max() + 1) >= 2
    on_boundary = np.zeros(truth.shape, np.bool_)
    for here, there in NEIGHBOURS:
        differs = has_class[there] & (truth[here] != truth[there])
        on_boundary[here] |= has_class[here] & (differs | separates[regions[there]])
    if not on_boundary.any():  # OpenCV's transform has no value for a map without a zero
        return np.full(truth.shape, np.inf, np.float32)
    off_boundary = (~on_boundary).astype(np.uint8)
    return cv2.distanceTransform(off_boundary, cv2.DIST_L2, cv2.DIST_MASK_PRECISE) + np.float32(0.5)


def trimap_confusions(
    distances_px: NDArray[np.float32], *, truth: LabelMap, predicted: LabelMap, num_classes: int,
    widths_px: Sequence[float],
) -> Counts:  # fmt: skip
    """One confusion matrix per width r, of the pixels at most r px from a boundary of the truth.

    Kohli, Ladicky and Torr (2009) score such bands, as do Krahenbuhl and Koltun (2011) and the DeepLab papers. Here r
    counts to either side: at a straight boundary, r rows of pixels on each. Pixels without a class are not counted; an
    image without a boundary has no counted pixel at any width.

    distances_px: `boundary_distances` of the truth. truth, predicted: (H, W) label maps; widths_px: increasing.
    Returns (len(widths_px), num_classes, num_classes) int64. Raises InputError as `confusion_matrix` does, for pixels
    in the widest band.
    """
    widths = np.asarray(widths_px, np.float32)
    if not len(widths) or not (np.diff(widths, prepend=0) > 0).all():
        raise ValueError(f"widths_px is {list(widths_px)}; it must be positive and increase")
    counted = (truth != IGNORE_INDEX) & (distances_px <= min(widths[-1], np.finfo(np.float32).max))
    pairs = class_pairs(truth=truth, predicted=predicted, counted=counted, num_classes=num_classes)
    bands = np.searchsorted(widths, distances_px[counted])  # the narrowest width that holds the pixel
    counts = np.bincount(num_classes**2 * bands + pairs, minlength=len(widths) * num_classes**2)
    return counts.reshape(len(widths), num_classes, num_classes).cumsum(axis=0)
