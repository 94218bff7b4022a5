"""Refinement: sharper edges, clear refusals, and the same result from every engine."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from segbench.crf import in_torch
from segbench.crf.energy import CRFParameters
from segbench.crf.inference import refine, refine_after
from segbench.errors import InputError
from segbench.images import RGBImage
from segbench.prediction.predictor import Probabilities

PARAMETERS = CRFParameters(
    appearance_weight=5, appearance_sigma_xy=0.2, appearance_sigma_rgb=10, smoothness_weight=1,
    smoothness_sigma_xy=0.02, steps=5,
)  # fmt: skip
NEEDS_CUDA = [pytest.mark.cuda, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA")]
DEVICES = ["cpu", pytest.param("cuda", marks=NEEDS_CUDA)]


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


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("num_classes", [1, 2, 16, 17, 33])
def test_torch_and_compiled_engines_agree(device: str, num_classes: int) -> None:
    """At class counts below, at and beyond the width of a vector."""
    rng = np.random.default_rng(1)
    image = rng.integers(0, 256, (19, 23, 3), dtype=np.uint8)
    probabilities = rng.dirichlet(np.ones(num_classes), (19, 23)).transpose(2, 0, 1).astype(np.float32)
    steps = [1, 2, 5]
    compiled = refine_after(image, probabilities, PARAMETERS, steps=steps)
    in_torch_ = in_torch.mean_field(image, probabilities, PARAMETERS, steps=steps, device=torch.device(device))
    np.testing.assert_allclose(compiled, in_torch_, atol=1e-5)
    assert {refined.shape for refined in compiled} == {probabilities.shape}


def test_steps_are_those_of_separate_runs() -> None:
    image, probabilities = two_halves()
    for steps, refined in zip([1, 2, 5], refine_after(image, probabilities, PARAMETERS, steps=[1, 2, 5]), strict=True):
        np.testing.assert_array_equal(refined, refine(image, probabilities, replace(PARAMETERS, steps=steps)))


def test_without_weights_nothing_changes() -> None:
    image, probabilities = two_halves()
    refined = refine(image, probabilities, replace(PARAMETERS, appearance_weight=0, smoothness_weight=0))
    np.testing.assert_allclose(refined, probabilities, atol=1e-6)


def test_no_class_is_less_probable_than_one_in_100_000() -> None:
    image, probabilities = two_halves()
    certain = (probabilities > 0.5).astype(np.float32)
    refined = refine(image, certain, replace(PARAMETERS, appearance_weight=0, smoothness_weight=0))
    np.testing.assert_allclose(refined[certain == 0], 1e-5, rtol=1e-3)


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (40, 1), (2, 2)])
def test_tiny_images(size: tuple[int, int]) -> None:
    image = np.full((*size, 3), 100, np.uint8)
    probabilities = np.stack([np.full(size, 0.7), np.full(size, 0.3)]).astype(np.float32)
    for device in ("cpu", torch.device("cpu")):
        refined = (
            refine(image, probabilities, PARAMETERS)
            if device == "cpu"
            else in_torch.mean_field(image, probabilities, PARAMETERS, steps=[5], device=torch.device("cpu"))[0]
        )
        assert (refined.argmax(axis=0) == 0).all()
        np.testing.assert_allclose(refined.sum(axis=0), 1, atol=1e-5)


def test_certain_probabilities_and_large_weights_stay_finite() -> None:
    image, probabilities = two_halves()
    certain = (probabilities > 0.5).astype(np.float32)
    refined = refine(image, certain, replace(PARAMETERS, appearance_weight=1000, smoothness_weight=1000))
    assert np.isfinite(refined).all()
    np.testing.assert_allclose(refined.sum(axis=0), 1, atol=1e-5)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda p: p[:, :-1], r"probabilities are \(2, 39, 60\); they must be \(C, 40, 60\)"),
        (lambda p: p[0], r"probabilities are \(40, 60\); they must be \(C, 40, 60\)"),
        (lambda p: p * 1.1, "they must sum to 1"),
        (lambda p: np.where(p > 0.8, np.nan, p), "not finite"),
        (lambda p: p + np.array([[[-1]], [[1]]]), "it must be at least 0"),
    ],
)
def test_impossible_probabilities_are_refused(spoil, message: str) -> None:  # type: ignore[no-untyped-def]
    image, probabilities = two_halves()
    with pytest.raises(InputError, match=message):
        refine(image, spoil(probabilities), PARAMETERS)


def test_an_image_of_another_kind_is_refused() -> None:
    image, probabilities = two_halves()
    with pytest.raises(InputError, match=r"the image is float64 \(40, 60, 3\); it must be uint8 \(H, W, 3\)"):
        refine(image / 255, probabilities, PARAMETERS)  # type: ignore[arg-type]


@pytest.mark.parametrize("steps", [[], [0, 1], [2, 1], [2, 2]])
def test_impossible_steps_are_refused(steps: list[int]) -> None:
    image, probabilities = two_halves()
    with pytest.raises(InputError, match="they must be at least 1, in ascending order"):
        refine_after(image, probabilities, PARAMETERS, steps=steps)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("appearance_sigma_rgb", 0, "appearance_sigma_rgb is 0; it must be a number greater than 0"),
        ("appearance_sigma_xy", -0.1, "it must be a number greater than 0"),
        ("smoothness_sigma_xy", float("nan"), "it must be a number greater than 0"),
        ("smoothness_weight", -1, "smoothness_weight is -1; it must be a number of at least 0"),
        ("steps", 0, "steps is 0; it must be a number greater than 0"),
    ],
)
def test_impossible_parameters_are_refused(name: str, value: float, message: str) -> None:
    with pytest.raises(InputError, match=message):
        replace(PARAMETERS, **{name: value})  # type: ignore[arg-type]


@pytest.mark.parametrize("device", ["cpu", "torch"])
@pytest.mark.parametrize("sigma", [1e-3, 1e-9])
def test_sigmas_too_small_for_the_lattice_are_refused(device: str, sigma: float) -> None:
    image, probabilities = two_halves()
    tiny = replace(PARAMETERS, appearance_sigma_rgb=sigma, appearance_sigma_xy=sigma)
    with pytest.raises(InputError, match="sigmas are too small"):
        if device == "cpu":
            refine(image, probabilities, tiny)
        else:
            in_torch.mean_field(image, probabilities, tiny, steps=[1], device=torch.device("cpu"))
