"""The dense CRF: sharper edges, honest tuning, clear refusals."""

import numpy as np
import pytest

from segbench.crf import CRFParameters, refine
from segbench.errors import InputError
from segbench.files import RGBImage
from segbench.inference import Probabilities

PARAMETERS = CRFParameters(
    steps=5, appearance_weight=5, appearance_sigma_xy=0.2, appearance_sigma_rgb=10, smoothness_weight=1,
    smoothness_sigma_xy=0.02,
)  # fmt: skip


def two_halves() -> tuple[RGBImage, Probabilities]:
    """A red and a blue half, and probabilities whose edge lies four pixels off and which are noisy."""
    image = np.zeros((40, 60, 3), np.uint8)
    image[:, :30, 0] = 200
    image[:, 30:, 2] = 200
    rng = np.random.default_rng(0)
    right = np.where(np.arange(60) < 34, 0.35, 0.65) + rng.uniform(-0.25, 0.25, (40, 60))
    return image, np.stack([1 - right, right]).astype(np.float32)


def test_the_label_map_follows_the_images_edge() -> None:
    image, probabilities = two_halves()
    truth = np.broadcast_to(np.arange(60) >= 30, (40, 60))
    before = (probabilities.argmax(axis=0) == truth).mean()
    refined = refine(image, probabilities, PARAMETERS)
    assert before < 0.9
    assert (refined.argmax(axis=0) == truth).mean() > 0.995
    np.testing.assert_allclose(refined.sum(axis=0), 1, atol=1e-4)


def test_sigmas_are_fractions_of_the_diagonal() -> None:
    """Twice the image with the same parameters gives the same label map, twice as large."""
    image, probabilities = two_halves()
    refined = refine(image, probabilities, PARAMETERS).argmax(axis=0)
    doubled = refine(image.repeat(2, 0).repeat(2, 1), probabilities.repeat(2, 1).repeat(2, 2), PARAMETERS)
    assert (doubled.argmax(axis=0)[::2, ::2] == refined).mean() > 0.99


def test_inputs_are_left_as_they_were() -> None:
    image, probabilities = two_halves()
    copies = image.copy(), probabilities.copy()
    image.setflags(write=False)
    refine(image, probabilities, PARAMETERS)
    assert np.array_equal(image, copies[0])
    assert np.array_equal(probabilities, copies[1])


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda p: p[:, :-1], r"must have the image's size \(40, 60\)"),
        (lambda p: p * 1.1, "they must sum to 1"),
        (lambda p: np.where(p > 0.8, np.nan, p), "not finite"),
    ],
)
def test_impossible_probabilities_are_refused(spoil, message: str) -> None:  # type: ignore[no-untyped-def]
    image, probabilities = two_halves()
    with pytest.raises(InputError, match=message):
        refine(image, spoil(probabilities), PARAMETERS)
