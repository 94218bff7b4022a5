"""The same labels as pydensecrf2, an independent implementation, on photographs."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from segbench.crf import in_torch
from segbench.crf.energy import CRFParameters
from segbench.crf.inference import refine
from segbench.images import RGBImage, read_image
from segbench.prediction.predictor import Probabilities
from tests.crf.peer import PARAMETERS, Expected, expected, guessed, photographs, stored, with_pydensecrf2

SAME_LABELS = 0.999
MEAN_DIFFERENCE = 1e-4
"""A few undecided pixels tip over by rounding, in either program."""


def compiled(image: RGBImage, probabilities: Probabilities, parameters: CRFParameters) -> Probabilities:
    return refine(image, probabilities, parameters)


def with_torch(image: RGBImage, probabilities: Probabilities, parameters: CRFParameters) -> Probabilities:
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return in_torch.mean_field(image, probabilities, parameters, steps=[parameters.steps], device=device)[0]


def inputs(images: Sequence[RGBImage]) -> list[tuple[RGBImage, Probabilities]]:
    rng = np.random.default_rng(0)
    return [(image, guessed(image, rng)) for image in images]


def check(given: Sequence[tuple[RGBImage, Probabilities]], found: Sequence[Expected], peer: Sequence[Expected]) -> None:
    same, changed = [], []
    for (_, probabilities), ours, theirs in zip(given, found, peer, strict=True):
        assert np.abs(ours.probabilities - theirs.probabilities).mean() < MEAN_DIFFERENCE
        same.append((ours.labels == theirs.labels).mean())
        changed.append((probabilities.argmax(axis=0) != theirs.labels).mean())
    assert np.mean(changed) > 0.01, "the CRF has nothing to do"
    assert np.mean(same) >= SAME_LABELS


@pytest.mark.parametrize("engine", [compiled, with_torch])
@pytest.mark.parametrize("parameters", PARAMETERS)
def test_labels_on_photographs(engine: Callable[..., Probabilities], parameters: CRFParameters) -> None:
    given = inputs(photographs())
    check(given, [expected(engine(*pair, parameters)) for pair in given], stored(parameters))


@pytest.mark.parametrize("parameters", PARAMETERS)
def test_what_is_stored_is_what_pydensecrf2_says(parameters: CRFParameters) -> None:
    pytest.importorskip("pydensecrf", reason="pydensecrf2, of the extra peers, is not installed")
    given = inputs(photographs())
    check(given, [with_pydensecrf2(*pair, parameters) for pair in given], stored(parameters))


@pytest.mark.skipif("SEGBENCH_CAMVID" not in os.environ, reason="SEGBENCH_CAMVID does not name a folder with CamVid")
def test_labels_on_camvid_at_full_size() -> None:
    pytest.importorskip("pydensecrf", reason="pydensecrf2, of the extra peers, is not installed")
    paths = sorted((Path(os.environ["SEGBENCH_CAMVID"]) / "val").glob("*.png"))
    given = inputs([read_image(path) for path in paths[:: len(paths) // 20]][:20])
    found = [expected(refine(*pair, PARAMETERS[0])) for pair in given]
    check(given, found, [with_pydensecrf2(*pair, PARAMETERS[0]) for pair in given])
