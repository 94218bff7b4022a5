"""pydensecrf2, an independent implementation of the dense CRF, on photographs; and its stored results.

pydensecrf2 has to be compiled, so that the tests compare with what it once said: `pydensecrf2.npz`, written by
`python -m tests.crf.peer` where the extra `peers` is installed. The file holds, for each of PARAMETERS and photograph,
the labels of all pixels, the probabilities of every GRID-th pixel of every GRID-th row, and `versions`.
"""

from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.datasets import load_sample_images

from segbench.crf.energy import SMALLEST_PROBABILITY, CRFParameters
from segbench.images import RGBImage
from segbench.labels import LabelMap
from segbench.prediction.predictor import Probabilities

STORED = Path(__file__).with_name("pydensecrf2.npz")
GRID = 8
LEVELS = 65535
"""Stored probabilities are 16-bit: rounded by less than 1e-5."""
NUM_CLASSES = 11
PARAMETERS = [
    CRFParameters(4, 0.07, 6, 3, 0.005, steps=10),  # about DeepLab's on VOC
    CRFParameters(10, 0.15, 3, 1, 0.02, steps=5),
    CRFParameters(1, 0.02, 30, 5, 0.002, steps=10),
]


class Expected(NamedTuple):
    """What pydensecrf2 said of an image: (H, W) labels, and (C, H / GRID, W / GRID) probabilities."""

    labels: LabelMap
    probabilities: NDArray[np.float32]


def photographs() -> list[RGBImage]:
    """The lower left and the upper right corner of each of the two photographs that come with scikit-learn."""
    height, width = 150, 200
    corners = [(slice(-height, None), slice(width)), (slice(height), slice(-width, None))]
    return [np.ascontiguousarray(image[corner]) for image in load_sample_images().images for corner in corners]


def guessed(image: RGBImage, rng: np.random.Generator) -> Probabilities:
    """What a coarse network might say: blurred distances to random colours, unsure and noisy."""
    blurred = cv2.GaussianBlur(image, (0, 0), 6).astype(np.float32)
    colors = blurred.reshape(-1, 3)[rng.integers(0, blurred.shape[0] * blurred.shape[1], NUM_CLASSES)]
    distances = np.linalg.norm(blurred[None] - colors[:, None, None], axis=-1)
    noise = cv2.GaussianBlur(rng.normal(0, 12, (*image.shape[:2], NUM_CLASSES)), (0, 0), 4).transpose(2, 0, 1)
    logits = torch.from_numpy(noise * 4 - distances / 20).float()
    return logits.softmax(dim=0).numpy()


def with_pydensecrf2(image: RGBImage, probabilities: Probabilities, parameters: CRFParameters) -> Expected:
    """Its result, computed now."""
    from pydensecrf import densecrf

    height, width = image.shape[:2]
    diagonal_px = np.hypot(height, width)
    field = densecrf.DenseCRF2D(width, height, NUM_CLASSES)
    unary = -np.log(np.maximum(probabilities, SMALLEST_PROBABILITY)).reshape(NUM_CLASSES, -1)
    field.setUnaryEnergy(np.ascontiguousarray(unary, np.float32))
    field.addPairwiseGaussian(sxy=parameters.smoothness_sigma_xy * diagonal_px, compat=parameters.smoothness_weight)
    field.addPairwiseBilateral(
        sxy=parameters.appearance_sigma_xy * diagonal_px, srgb=parameters.appearance_sigma_rgb, rgbim=image.copy(),
        compat=parameters.appearance_weight,
    )  # fmt: skip
    return expected(np.asarray(field.inference(parameters.steps), np.float32).reshape(probabilities.shape))


def expected(probabilities: Probabilities) -> Expected:
    """What of (C, H, W) probabilities is compared."""
    return Expected(probabilities.argmax(axis=0).astype(np.uint8), probabilities[:, ::GRID, ::GRID])


def stored(parameters: CRFParameters) -> list[Expected]:
    """Its stored results, one per photograph."""
    index = PARAMETERS.index(parameters)
    with np.load(STORED) as file:
        probabilities = file["probabilities"][index].astype(np.float32) / LEVELS
        return [Expected(*pair) for pair in zip(file["labels"][index], probabilities, strict=True)]


def write() -> None:
    """Store its results on the photographs."""
    labels, probabilities = [], []
    for parameters in PARAMETERS:
        rng = np.random.default_rng(0)
        results = [with_pydensecrf2(image, guessed(image, rng), parameters) for image in photographs()]
        labels.append([result.labels for result in results])
        probabilities.append([np.rint(result.probabilities * LEVELS) for result in results])
    versions = [
        f"{name} {version(name)}" for name in ("pydensecrf2", "scikit-learn", "numpy", "opencv-python-headless")
    ]
    np.savez_compressed(
        STORED,
        allow_pickle=False,
        labels=np.array(labels),
        probabilities=np.array(probabilities, np.uint16),
        versions=np.array(versions),
    )


if __name__ == "__main__":
    write()
