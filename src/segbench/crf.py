"""Fully connected CRF: label maps that follow the edges of the image.

Krahenbuhl, Koltun: Efficient inference in fully connected CRFs with Gaussian edge potentials, NIPS 2011. DeepLab v1
and v2 end with it, with parameters searched on validation images.
"""

from dataclasses import dataclass, fields
from itertools import product
from math import hypot

import numpy as np
from tqdm import tqdm

from segbench import params
from segbench.datasets.prepared import Prepared
from segbench.errors import InputError
from segbench.files import RGBImage
from segbench.inference import Predictor, Probabilities
from segbench.metrics import confusion_matrix, scores

SMALLEST_PROBABILITY = 1e-5
"""Unaries are -log P; this bounds them."""


@dataclass(frozen=True)
class CRFParameters:
    """Two Gaussian kernels under a Potts model. sigma_xy: fractions of the image diagonal; sigma_rgb: grey levels."""

    steps: int
    appearance_weight: float
    appearance_sigma_xy: float
    appearance_sigma_rgb: float
    smoothness_weight: float
    smoothness_sigma_xy: float


def refine(image: RGBImage, probabilities: Probabilities, parameters: CRFParameters) -> Probabilities:
    """Mean-field inference: (H, W, 3) uint8 RGB and (C, H, W) probabilities -> (C, H, W) refined probabilities.

    Raises InputError if the sizes differ, a probability is not finite, or they do not sum to one.
    """
    _check(image, probabilities)
    from pydensecrf import densecrf

    num_classes, height, width = probabilities.shape
    diagonal_px = hypot(height, width)
    smoothness_px = parameters.smoothness_sigma_xy * diagonal_px
    appearance_px = parameters.appearance_sigma_xy * diagonal_px
    field = densecrf.DenseCRF2D(width, height, num_classes)
    unary = -np.log(np.maximum(probabilities, SMALLEST_PROBABILITY))
    field.setUnaryEnergy(np.ascontiguousarray(unary.reshape(num_classes, -1), dtype=np.float32))
    if parameters.smoothness_weight > 0:
        field.addPairwiseGaussian(sxy=smoothness_px, compat=parameters.smoothness_weight)
    field.addPairwiseBilateral(
        sxy=appearance_px,
        srgb=parameters.appearance_sigma_rgb,
        rgbim=np.array(image),  # a copy: it must be writable
        compat=parameters.appearance_weight,
    )
    return np.asarray(field.inference(parameters.steps), np.float32).reshape(probabilities.shape)


def _check(image: RGBImage, probabilities: Probabilities) -> None:
    if probabilities.shape[1:] != image.shape[:2]:
        raise InputError(
            f"probabilities are {probabilities.shape[1:]}; they must have the image's size {image.shape[:2]}"
        )
    if not np.isfinite(probabilities).all():
        raise InputError("a probability is not finite")
    sums = probabilities.sum(axis=0)
    if np.abs(sums - 1).max() > 1e-3:
        raise InputError(
            f"probabilities sum to {sums.min():.3f}..{sums.max():.3f} over the classes; they must sum to 1"
        )


@dataclass(frozen=True)
class Tuning:
    """A search on validation images. chosen: None if no candidate beats leaving the CRF out.

    score_without, candidates' scores: the objective over the tuning images, as fractions.
    """

    objective: str
    num_images: int
    score_without: float
    chosen: CRFParameters | None
    candidates: list[tuple[CRFParameters, float]]


def tune(predictor: Predictor, prepared: Prepared, grid: params.CRF) -> Tuning:
    """Try the whole grid on evenly spaced validation images; each image is predicted once, and none is kept."""
    rows = prepared.split("val")
    shown = np.linspace(0, len(rows) - 1, min(grid.tuning_images, len(rows))).astype(int)
    candidates: list[CRFParameters | None] = [None, *_grid_points(grid)]
    num_classes = len(prepared.classes)
    confusions = np.zeros((len(candidates), num_classes, num_classes), np.int64)
    for row in tqdm([rows[index] for index in shown], desc="tune crf", unit="image", disable=None):
        image, truth = prepared.image(row), prepared.label_map(row)
        probabilities = predictor.probabilities(image)
        for index, candidate in enumerate(candidates):
            refined = refine(image, probabilities, candidate) if candidate else probabilities
            predicted = refined.argmax(axis=0).astype(np.uint8)
            confusions[index] += confusion_matrix(truth=truth, predicted=predicted, num_classes=num_classes)
    achieved = [float(getattr(scores(confusion), grid.objective)) for confusion in confusions]
    return Tuning(
        objective=grid.objective,
        num_images=len(shown),
        score_without=achieved[0],
        chosen=candidates[int(np.argmax(achieved))],
        candidates=[(c, score) for c, score in zip(candidates, achieved, strict=True) if c is not None],
    )


def _grid_points(grid: params.CRF) -> list[CRFParameters]:
    """Every combination of the parameters' candidates."""
    names = [field.name for field in fields(CRFParameters)]
    return [
        CRFParameters(**dict(zip(names, values, strict=True)))
        for values in product(*(getattr(grid, name) for name in names))
    ]
