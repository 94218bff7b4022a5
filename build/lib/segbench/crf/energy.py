"""The dense CRF's energy: a unary term, -log P at each pixel, and two Gaussian kernels between all pairs of pixels.

Krahenbuhl, Koltun: Efficient inference in fully connected CRFs with Gaussian edge potentials, NIPS 2011, eq. 1 to 3.
"""

from dataclasses import dataclass, fields, replace
from math import hypot, isfinite

import numpy as np
from numpy.typing import NDArray

from segbench.errors import InputError
from segbench.images import RGBImage

SMALLEST_PROBABILITY = 1e-5
"""Smaller probabilities count as this one, which bounds the unary term."""
MOST_SIGMAS = 1e5
"""Further from the origin, float32 cannot tell neighbouring points of the lattice apart."""
TOO_FAR = "the CRF's sigmas are too small for the image: its pixels lie too many sigmas apart"

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class CRFParameters:
    """Weights and widths of the two kernels under a Potts model, and the number of mean-field steps.

    The appearance kernel joins pixels that are near and similar in colour (the paper's w1, sigma_alpha, sigma_beta),
    the smoothness kernel pixels that are near (w2, sigma_gamma). sigma_xy: fractions of the image's diagonal, so that
    they transfer between resolutions; sigma_rgb: grey levels of 0..255. Raises InputError for a negative weight, and
    for a sigma or a number of steps that is not positive.
    """

    appearance_weight: float
    appearance_sigma_xy: float
    appearance_sigma_rgb: float
    smoothness_weight: float
    smoothness_sigma_xy: float
    steps: int

    def __post_init__(self) -> None:
        for field in fields(self):
            value, may_be_zero = getattr(self, field.name), field.name.endswith("weight")
            if not isfinite(value) or value < 0 or (value == 0 and not may_be_zero):
                bound = "a number of at least 0" if may_be_zero else "a number greater than 0"
                raise InputError(f"{field.name} is {value}; it must be {bound}")

    def within(self, part_px: tuple[int, int], *, of: tuple[int, int]) -> "CRFParameters":
        """The same kernels in a part of an image: as wide in pixels. part_px, of: (height, width) of part and whole."""
        ratio = hypot(*of) / hypot(*part_px)
        return replace(
            self,
            appearance_sigma_xy=ratio * self.appearance_sigma_xy,
            smoothness_sigma_xy=ratio * self.smoothness_sigma_xy,
        )


def negative_unary(probabilities: Floats) -> Floats:
    """log P, which is minus the unary term: (C, H, W) probabilities -> (C, H * W)"""
    flat = probabilities.reshape(len(probabilities), -1)
    return np.log(np.maximum(flat, SMALLEST_PROBABILITY, dtype=np.float32))


def positions(height: int, width: int, *, sigma_xy: float) -> Floats:
    """The smoothness kernel's features: (H * W, 2) x, y in units of sigma_xy, a fraction of the diagonal"""
    y, x = np.mgrid[:height, :width].reshape(2, -1)
    return _in_sigmas(np.stack([x, y], axis=1), sigma_xy * hypot(height, width))


def appearance_features(image: RGBImage, parameters: CRFParameters) -> Floats:
    """The appearance kernel's features: (H * W, 5) x, y, R, G, B in units of their sigmas"""
    xy = positions(*image.shape[:2], sigma_xy=parameters.appearance_sigma_xy)
    return np.concatenate([xy, _in_sigmas(image.reshape(-1, 3), parameters.appearance_sigma_rgb)], axis=1)


def _in_sigmas(values: NDArray[np.integer], sigma: float) -> Floats:
    if values.max() > MOST_SIGMAS * sigma:
        raise InputError(TOO_FAR)
    return values.astype(np.float32) / np.float32(sigma)
