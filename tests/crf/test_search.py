"""The search: it finds what helps, leaves out what does not, and repeats itself."""

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from segbench import params
from segbench.crf.energy import CRFParameters
from segbench.crf.inference import refine, refine_after
from segbench.crf.search import Search, tune
from segbench.crf.tuning import TuningImage
from segbench.scoring.metrics import compute_scores, confusion_matrix
from tests.crf.test_inference import two_halves

RANGES: dict[str, Any] = {
    "trials": 8, "tuning_images": 2, "seed": 0, "objective": "mean_iou", "appearance_weight": [1, 10],
    "appearance_sigma_xy": [0.05, 0.3], "appearance_sigma_rgb": [5, 30], "smoothness_weight": [0.1, 1],
    "smoothness_sigma_xy": [0.005, 0.02], "steps": [1, 5],
}  # fmt: skip


def search(images: list[TuningImage], **changes: Any) -> Search:
    return tune(images, params.CRF(**{**RANGES, **changes}), device="cpu", workers=2)


def images_of(*, true_edge: int) -> list[TuningImage]:
    """The image's edge is at 30 px, the network's at 34."""
    image, probabilities = two_halves()
    truth = np.broadcast_to(np.arange(60) >= true_edge, (40, 60)).astype(np.uint8)
    return [TuningImage(image, probabilities, truth)] * 2


def test_what_helps_is_chosen_and_its_score_is_what_it_gives() -> None:
    (first, _) = images = images_of(true_edge=30)
    found = search(images)
    assert len(found.candidates) % 2 == 0
    assert found.chosen == found.best.parameters
    refined = refine(first.image, first.probabilities, found.best.parameters).argmax(axis=0).astype(np.uint8)
    score = compute_scores(confusion_matrix(truth=first.truth, predicted=refined, num_classes=2)).mean_iou
    assert found.best.score == pytest.approx(score)
    assert found.best.score == max(candidate.score for candidate in found.candidates) > found.score_without + 0.05


@pytest.fixture
def tried(monkeypatch: pytest.MonkeyPatch) -> list[CRFParameters]:
    """The parameters of each inference of the search."""
    tried: list[CRFParameters] = []

    def spy(image: Any, probabilities: Any, parameters: CRFParameters, **settings: Any) -> Any:
        tried.append(parameters)
        return refine_after(image, probabilities, parameters, **settings)

    monkeypatch.setattr("segbench.crf.search.refine_after", spy)
    return tried


def test_trials_lie_in_their_ranges_and_differ(tried: list[CRFParameters]) -> None:
    found = search(images_of(true_edge=30))
    for name in ("appearance_weight", "appearance_sigma_xy", "smoothness_sigma_xy"):
        low, high = RANGES[name]
        values = {getattr(parameters, name) for parameters in tried}
        assert low <= min(values) < max(values) <= high
    assert {candidate.parameters.steps for candidate in found.candidates} == {1, 5}


def test_what_does_not_help_is_left_out() -> None:
    """A network that is right already: no CRF can beat it."""
    image, _ = two_halves()
    truth = np.random.default_rng(0).integers(0, 2, (40, 60)).astype(np.uint8)
    right = np.stack([0.98 - 0.96 * truth, 0.02 + 0.96 * truth]).astype(np.float32)
    found = search([TuningImage(image, right, truth)])
    assert found.score_without == 1
    assert found.chosen is None


def test_a_seed_repeats_the_search(tried: list[CRFParameters]) -> None:
    images = images_of(true_edge=30)
    found, tried_by_seed = [], []
    for seed in (0, 0, 1):
        tried.clear()
        found.append(search(images, trials=6, seed=seed))
        tried_by_seed.append([*tried])
    assert found[0] == found[1]
    assert tried_by_seed[0] == tried_by_seed[1] != tried_by_seed[2]


def test_a_trial_that_is_not_among_the_best_sees_few_images(tried: list[CRFParameters]) -> None:
    """All trials see a fifth of the images, few see all; the best of those is chosen by its score on all."""
    found = search(images_of(true_edge=30) * 5, trials=12)
    images_seen = Counter(tried)
    assert len(images_seen) == 12
    assert set(images_seen.values()) <= {2, 5, 10}
    judged_on_all = {parameters for parameters, count in images_seen.items() if count == 10}
    assert {replace(candidate.parameters, steps=5) for candidate in found.candidates} == judged_on_all
    assert 1 <= len(judged_on_all) < 12 and len(tried) < 0.7 * 12 * 10


def test_workers_do_not_change_the_search() -> None:
    images, settings = images_of(true_edge=30), params.CRF(**{**RANGES, "trials": 4})
    one, three = (tune(images, settings, device="cpu", workers=workers) for workers in (1, 3))
    assert one == three


def test_the_objective_is_what_is_asked_for() -> None:
    (first, _) = images = images_of(true_edge=30)
    plain = confusion_matrix(truth=first.truth, predicted=first.probabilities.argmax(0).astype(np.uint8), num_classes=2)
    for objective in ("mean_iou", "pixel_accuracy", "mean_dice"):
        found = search(images, trials=2, objective=objective)
        assert found.score_without == pytest.approx(getattr(compute_scores(plain), objective))
