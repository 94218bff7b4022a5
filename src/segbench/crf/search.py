"""The search for CRF parameters on validation images."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import optuna
from tqdm import tqdm

from segbench import params
from segbench.crf.energy import CRFParameters
from segbench.crf.inference import refine_after
from segbench.images import RGBImage
from segbench.labels import LabelMap
from segbench.parallel import map_in_order
from segbench.prediction.predictor import Probabilities
from segbench.scoring.metrics import Counts, compute_scores, confusion_matrix

SEARCHED = (
    "appearance_weight", "appearance_sigma_xy", "appearance_sigma_rgb", "smoothness_weight", "smoothness_sigma_xy",
)  # fmt: skip
STARTUP_SHARE = 0.4
"""Of the trials, drawn at random before the sampler learns from them."""


@dataclass(frozen=True)
class TuningImage:
    """A validation image: (H, W, 3) uint8 RGB, the network's (C, H, W) probabilities, (H, W) true classes."""

    image: RGBImage
    probabilities: Probabilities
    truth: LabelMap


@dataclass(frozen=True)
class Candidate:
    """Parameters, and the objective over the tuning images with them, a fraction."""

    parameters: CRFParameters
    score: float


@dataclass(frozen=True)
class Search:
    """The search's result. score_without: the objective without a CRF; candidates: in the order of trials."""

    objective: str
    num_images: int
    score_without: float
    candidates: list[Candidate]

    @property
    def best(self) -> Candidate:
        """The first of the candidates with the highest score."""
        return max(self.candidates, key=lambda candidate: candidate.score)

    @property
    def chosen(self) -> CRFParameters | None:
        """The best candidate's parameters; None if it does not beat leaving the CRF out."""
        return self.best.parameters if self.best.score > self.score_without else None


def tune(images: Sequence[TuningImage], search: params.CRF, *, device: str, workers: int) -> Search:
    """Search with the tree-structured Parzen estimator (Bergstra et al. 2011).

    Mean-field inference passes through the smaller numbers of steps on its way to the larger, so that one trial gives
    a candidate for each of `search.steps`.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    candidates: list[Candidate] = []

    def objective_after_each(parameters: CRFParameters) -> list[float]:
        def confusions(tuning: TuningImage) -> Counts:
            refined = refine_after(tuning.image, tuning.probabilities, parameters, steps=search.steps, device=device)
            return np.stack([_confusion(tuning.truth, one) for one in refined])

        totals = np.sum(list(map_in_order(confusions, images, workers=workers)), axis=0)
        return [float(getattr(compute_scores(total), search.objective)) for total in totals]

    def run_trial(trial: optuna.Trial) -> float:
        drawn = {name: trial.suggest_float(name, *getattr(search, name), log=True) for name in SEARCHED}
        parameters = CRFParameters(**drawn, steps=max(search.steps))
        tried = [
            Candidate(replace(parameters, steps=steps), score)
            for steps, score in zip(search.steps, objective_after_each(parameters), strict=True)
        ]
        candidates.extend(tried)
        return max(candidate.score for candidate in tried)

    sampler = optuna.samplers.TPESampler(
        seed=search.seed, multivariate=True, n_startup_trials=max(1, round(STARTUP_SHARE * search.trials))
    )
    study = optuna.create_study(sampler=sampler, direction="maximize")
    for _ in tqdm(range(search.trials), desc="tune crf", unit="trial", disable=None):
        study.optimize(run_trial, n_trials=1)
    without = np.sum([_confusion(tuning.truth, tuning.probabilities) for tuning in images], axis=0)
    return Search(
        objective=search.objective,
        num_images=len(images),
        score_without=float(getattr(compute_scores(without), search.objective)),
        candidates=candidates,
    )


def _confusion(truth: LabelMap, probabilities: Probabilities) -> Counts:
    predicted = probabilities.argmax(axis=0).astype(np.uint8)
    return confusion_matrix(truth=truth, predicted=predicted, num_classes=len(probabilities))
