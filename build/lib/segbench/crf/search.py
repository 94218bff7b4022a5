"""The search for the dense CRF's parameters on validation images."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import optuna
from tqdm import tqdm

from segbench import params
from segbench.crf.energy import CRFParameters
from segbench.crf.inference import refine_after
from segbench.crf.tuning import TuningImage
from segbench.labels import LabelMap
from segbench.parallel import map_in_order
from segbench.prediction.predictor import Probabilities
from segbench.scoring.metrics import Counts, compute_scores, confusion_matrix

SEARCHED = (
    "appearance_weight", "appearance_sigma_xy", "appearance_sigma_rgb", "smoothness_weight", "smoothness_sigma_xy",
)  # fmt: skip
FIRST_TRIED = (10.0, 0.1, 10.0, 3.0, 0.005)
"""Values of SEARCHED that suit many networks: the first trial, within the ranges."""
STAGES = (0.2, 0.5, 1.0)
"""Shares of the tuning images after which a trial is compared with those before it."""
KEPT_SHARE = 1 / 3
"""A trial goes on if it is among the best third of all trials that came as far."""
STARTUP_SHARE = 0.4
"""Share of the trials that are drawn at random before the sampler learns from them."""


@dataclass(frozen=True)
class Candidate:
    """Parameters, and the objective that they reach on the tuning images, a fraction."""

    parameters: CRFParameters
    score: float


@dataclass(frozen=True)
class Search:
    """The result. score_without: the objective without a CRF.

    candidates: those of the trials that were judged on all images, in the order of the trials.
    """

    objective: str
    num_images: int
    score_without: float
    candidates: list[Candidate]

    @property
    def best(self) -> Candidate:
        """The candidate with the highest score, the first of equals."""
        return max(self.candidates, key=lambda candidate: candidate.score)

    @property
    def chosen(self) -> CRFParameters | None:
        """The best candidate's parameters; None if it scores no higher than no CRF."""
        return self.best.parameters if self.best.score > self.score_without else None

    def content(self) -> dict[str, Any]:
        """The result with the best candidate and the chosen parameters, for a JSON file."""
        chosen = asdict(self.chosen) if self.chosen else None
        return {**asdict(self), "best": asdict(self.best), "chosen": chosen}


def tune(images: Sequence[TuningImage], settings: params.CRF, *, device: str, workers: int) -> Search:
    """Search with the tree-structured Parzen estimator (Bergstra et al. 2011) and successive halving.

    A trial first sees a few of the images, and the others only while it is among the best (Jamieson, Talwalkar 2016).
    Inference with many steps passes through the results of fewer, so that each trial gives one candidate for each of
    `settings.steps`.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    candidates: list[Candidate] = []

    def score(confusion: Counts) -> float:
        return float(getattr(compute_scores(confusion), settings.objective))

    shuffled = [images[index] for index in np.random.default_rng(settings.seed).permutation(len(images))]
    stops = sorted({max(1, int(share * len(images))) for share in STAGES})
    reached: dict[int, list[float]] = {stop: [] for stop in stops}

    def sum_confusions(parameters: CRFParameters, examples: Sequence[TuningImage]) -> Counts:
        def confusions(example: TuningImage) -> Counts:  # (len(settings.steps), num_classes, num_classes)
            fitted = example.fitted(parameters)
            refined = refine_after(example.image, example.probabilities, fitted, steps=settings.steps, device=device)
            return np.stack([_confusion(example.truth, probabilities) for probabilities in refined])

        return np.sum(list(map_in_order(confusions, examples, workers=workers)), axis=0, dtype=np.int64)

    def scores_after_steps(trial: optuna.Trial, parameters: CRFParameters) -> list[float]:
        """On all images. Raises TrialPruned if the trial is not among the best on some of them."""
        totals: Counts = np.zeros((1, 1, 1), np.int64)
        seen, scores = 0, list[float]()
        for stop in stops:
            totals = totals + sum_confusions(parameters, shuffled[seen:stop])
            seen, scores = stop, [score(total) for total in totals]
            trial.report(max(scores), stop)
            reached[stop].append(max(scores))
            num_others = sum(other >= max(scores) for other in reached[stop]) - 1  # that are at least as good
            if stop < len(images) and num_others >= max(1, int(KEPT_SHARE * len(reached[stop]))):
                raise optuna.TrialPruned
        return scores

    def run_trial(trial: optuna.Trial) -> float:
        drawn = {name: trial.suggest_float(name, *getattr(settings, name), log=True) for name in SEARCHED}
        parameters = CRFParameters(**drawn, steps=max(settings.steps))
        tried = [
            Candidate(replace(parameters, steps=steps), score_after)
            for steps, score_after in zip(settings.steps, scores_after_steps(trial, parameters), strict=True)
        ]
        candidates.extend(tried)
        return max(candidate.score for candidate in tried)

    sampler = optuna.samplers.TPESampler(
        seed=settings.seed, multivariate=True, n_startup_trials=max(1, round(STARTUP_SHARE * settings.trials))
    )
    study = optuna.create_study(sampler=sampler, direction="maximize")
    ranges = [getattr(settings, name) for name in SEARCHED]
    first = {
        name: min(max(value, low), high) for name, value, (low, high) in zip(SEARCHED, FIRST_TRIED, ranges, strict=True)
    }
    study.enqueue_trial(first)
    for _ in tqdm(range(settings.trials), desc="tune crf", unit="trial", disable=None):
        study.optimize(run_trial, n_trials=1)
    without = np.sum([_confusion(example.truth, example.probabilities) for example in images], axis=0)
    return Search(
        objective=settings.objective,
        num_images=len(images),
        score_without=score(without),
        candidates=candidates,
    )


def _confusion(truth: LabelMap, probabilities: Probabilities) -> Counts:
    predicted = probabilities.argmax(axis=0).astype(np.uint8)
    return confusion_matrix(truth=truth, predicted=predicted, num_classes=len(probabilities))
