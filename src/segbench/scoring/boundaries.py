"""How well a model meets the boundaries between classes: confusion matrices of the pixels near them, after trimaps."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from segbench.labels import IGNORE_INDEX, LabelMap
from segbench.scoring.metrics import Counts, class_pairs


def boundary_distances(truth: LabelMap) -> NDArray[np.float32]:
    """The distance of every pixel from the nearest boundary between two classes, in px.

    A boundary runs between two pixels that share a side and differ in class, so it is half a pixel from the centres of
    both. The distance is 0.5 plus the Euclidean distance to the centre of the nearest pixel on a boundary: along a
    straight boundary, rows of pixels have 0.5, 1.5, 2.5, ... Pixels without a class (IGNORE_INDEX) make no boundary, so
    there is none between two classes that a strip of such pixels separates.

    truth: (H, W) label map. Returns (H, W) float32; inf everywhere if there is no boundary.
    """
    has_class = truth != IGNORE_INDEX
    off_boundary = np.ones(truth.shape, np.uint8)
    above, below = np.s_[:-1, :], np.s_[1:, :]
    left, right = np.s_[:, :-1], np.s_[:, 1:]
    for first, second in ((above, below), (left, right)):
        differs = (truth[first] != truth[second]) & has_class[first] & has_class[second]
        off_boundary[first][differs] = 0
        off_boundary[second][differs] = 0
    if off_boundary.all():  # OpenCV's transform has no value for a map without a zero
        return np.full(truth.shape, np.inf, np.float32)
    return cv2.distanceTransform(off_boundary, cv2.DIST_L2, cv2.DIST_MASK_PRECISE) + np.float32(0.5)


def trimap_confusions(*, truth: LabelMap, predicted: LabelMap, num_classes: int, widths_px: Sequence[float]) -> Counts:
    """One confusion matrix per width r, of the pixels at most r px from a boundary of the truth.

    Kohli, Ladicky and Torr (2009) score such bands, as do Krahenbuhl and Koltun (2011) and the DeepLab papers. Here r
    counts to either side: at a straight boundary, r rows of pixels on each. Distances are `boundary_distances`. Pixels
    without a class are not counted; an image without a boundary has no counted pixel at any width.

    truth, predicted: (H, W) label maps; widths_px: increasing. Returns (len(widths_px), num_classes, num_classes)
    int64. Raises InputError as `confusion_matrix` does, for pixels in the widest band.
    """
    widths = np.asarray(widths_px, np.float32)
    if not len(widths) or not (np.diff(widths, prepend=0) > 0).all():
        raise ValueError(f"widths_px is {list(widths_px)}; it must be positive and increase")
    distances = boundary_distances(truth)
    counted = (truth != IGNORE_INDEX) & (distances <= min(widths[-1], np.finfo(np.float32).max))
    pairs = class_pairs(truth=truth, predicted=predicted, counted=counted, num_classes=num_classes)
    bands = np.searchsorted(widths, distances[counted])  # the narrowest width that holds the pixel
    counts = np.bincount(num_classes**2 * bands + pairs, minlength=len(widths) * num_classes**2)
    return counts.reshape(len(widths), num_classes, num_classes).cumsum(axis=0)
