"""The same labels as pydensecrf2, an independent implementation, on photographs."""

import os
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from pydensecrf import densecrf
from sklearn.datasets import load_sample_images

from segbench.crf import in_torch
from segbench.crf.energy import SMALLEST_PROBABILITY, CRFParameters
from segbench.crf.inference import refine
from segbench.images import RGBImage, read_image
from segbench.prediction.predictor import Probabilities

SAME_LABELS = 0.999
MEAN_DIFFERENCE = 1e-4
"""A few undecided pixels tip over by rounding, in either program."""
NUM_CLASSES = 11
PARAMETERS = [
    CRFParameters(4, 0.07, 6, 3, 0.005, steps=10),  # about DeepLab's on VOC
    CRFParameters(10, 0.15, 3, 1, 0.02, steps=5),
    CRFParameters(1, 0.02, 30, 5, 0.002, steps=10),
]


def crops(images: list[RGBImage], size: tuple[int, int]) -> list[RGBImage]:
    """The lower left and the upper right corner of each image."""
    height, width = size
    corners = [(slice(-height, None), slice(width)), (slice(height), slice(-width, None))]
    return [np.ascontiguousarray(image[corner]) for image in images for corner in corners]


def guessed(image: RGBImage, rng: np.random.Generator) -> Probabilities:
    """What a coarse network might say: blurred distances to random colours, unsure and noisy."""
    blurred = cv2.GaussianBlur(image, (0, 0), 6).astype(np.float32)
    colors = blurred.reshape(-1, 3)[rng.integers(0, blurred.shape[0] * blurred.shape[1], NUM_CLASSES)]
    distances = np.linalg.norm(blurred[None] - colors[:, None, None], axis=-1)
    noise = cv2.GaussianBlur(rng.normal(0, 12, (*image.shape[:2], NUM_CLASSES)), (0, 0), 4).transpose(2, 0, 1)
    logits = torch.from_numpy(noise * 4 - distances / 20).float()
    return logits.softmax(dim=0).numpy()


def peer(image: RGBImage, probabilities: Probabilities, parameters: CRFParameters) -> Probabilities:
    """pydensecrf2's result."""
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
    return np.asarray(field.inference(parameters.steps), np.float32).reshape(probabilities.shape)


def compiled(image: RGBImage, probabilities: Probabilities, parameters: CRFParameters) -> Probabilities:
    return refine(image, probabilities, parameters)


def with_torch(image: RGBImage, probabilities: Probabilities, parameters: CRFParameters) -> Probabilities:
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return in_torch.mean_field(image, probabilities, parameters, steps=[parameters.steps], device=device)[0]


def check(
    images: list[RGBImage], engine: Callable[[RGBImage, Probabilities, CRFParameters], Probabilities],
    parameters: CRFParameters,
) -> None:  # fmt: skip
    rng = np.random.default_rng(0)
    same, changed = [], []
    for image in images:
        probabilities = guessed(image, rng)
        expected = peer(image, probabilities, parameters)
        refined = engine(image, probabilities, parameters)
        assert np.abs(refined - expected).mean() < MEAN_DIFFERENCE
        same.append((refined.argmax(axis=0) == expected.argmax(axis=0)).mean())
        changed.append((probabilities.argmax(axis=0) != expected.argmax(axis=0)).mean())
    assert np.mean(changed) > 0.01, "the CRF has nothing to do"
    assert np.mean(same) >= SAME_LABELS


@pytest.fixture(scope="module")
def photographs() -> list[RGBImage]:
    """Crops of the two photographs that come with scikit-learn."""
    return crops(load_sample_images().images, (150, 200))


@pytest.mark.parametrize("engine", [compiled, with_torch])
@pytest.mark.parametrize("parameters", PARAMETERS)
def test_labels_on_photographs(
    photographs: list[RGBImage], engine: Callable[..., Probabilities], parameters: CRFParameters
) -> None:
    check(photographs, engine, parameters)


@pytest.mark.skipif("SEGBENCH_CAMVID" not in os.environ, reason="SEGBENCH_CAMVID does not name a folder with CamVid")
def test_labels_on_camvid_at_full_size() -> None:
    paths = sorted((Path(os.environ["SEGBENCH_CAMVID"]) / "val").glob("*.png"))
    check([read_image(path) for path in paths[:: len(paths) // 20]][:20], compiled, PARAMETERS[0])
