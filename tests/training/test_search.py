"""Which candidate a search finds best, from records of finished trials."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from segbench.checkpoints import RECORD
from segbench.params import load
from segbench.training import training as trainings
from segbench.training.search import found_before, outcome, trials_of
from segbench.training.training import Training
from tests.parameters import PARAMETERS
from tests.params.test_params import write_params

CANDIDATES = [{"lr": 0.1}, {"lr": 0.01, "backbone_lr_factor": 1}, {"lr": 0.001}]


class Untouched(Training):
    """A training of which only the schedule counts."""

    @property
    def settings(self) -> dict[str, Any]:
        """The schedule alone."""
        return self.schedule.model_dump(exclude={"search"})


@pytest.fixture
def training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Training:
    """A training of U-Net with seed 5, for which three candidates are to be tried."""
    monkeypatch.setattr(trainings, "checkpoint_folder", lambda key: tmp_path / key)
    path = write_params(tmp_path, {"train.search": {"epochs": 2, "candidates": CANDIDATES}})
    nothing: Any = SimpleNamespace()
    return Untouched("camvid", "unet", 5, load(path), nothing, nothing)


def finish(trial: Training, *curve: float | None, diverged_in: int | None = None) -> None:
    trial.folder.mkdir(parents=True)
    epochs = [{"epoch": epoch, "val_mean_iou": value} for epoch, value in enumerate(curve, start=1)]
    record = {"epochs": epochs, "training_seconds": 7.0, "diverged_in_epoch": diverged_in}
    (trial.folder / RECORD).write_text(json.dumps(record))


def test_every_candidate_is_tried_for_the_same_epochs_with_the_same_seed(training: Training) -> None:
    trials = trials_of(training)
    assert [(trial.seed, trial.schedule.epochs) for trial in trials] == [(5, 2)] * 3
    assert [trial.schedule.lr for trial in trials] == [0.1, 0.01, 0.001]
    assert trials[1].schedule.backbone_lr_factor == 1 != trials[0].schedule.backbone_lr_factor
    assert len({trial.key for trial in trials}) == 3
    assert training.schedule.epochs == PARAMETERS.train.epochs


def test_the_best_is_that_of_the_last_epochs_highest_score(training: Training) -> None:
    trials = trials_of(training)
    for trial, curve in zip(trials, [(0.9, 0.2), (0.1, 0.4), (0.3, 0.4)], strict=True):
        finish(trial, *curve)
    found = outcome(trials)
    assert found is not None
    assert found["best"] == CANDIDATES[1], "the first of equal ones"
    assert [trial["val_mean_iou"] for trial in found["trials"]] == [0.2, 0.4, 0.4]
    assert (found["epochs"], found["trials"][2]["values"]) == (2, CANDIDATES[2])


def test_a_trial_that_diverged_is_not_the_best(training: Training) -> None:
    trials = trials_of(training)
    finish(trials[0], 0.9, diverged_in=2)
    for trial in trials[1:]:
        finish(trial, 0.3)
    found = outcome(trials)
    assert found is not None and found["best"] == CANDIDATES[1]
    assert [trial["val_mean_iou"] for trial in found["trials"]] == [None, 0.3, 0.3]


def test_trials_without_a_score_find_nothing(training: Training) -> None:
    trials = trials_of(training)
    for trial in trials:
        finish(trial, None, None)
    found = outcome(trials)
    assert found is not None and found["best"] == {}


def test_without_candidates_or_epochs_there_is_no_search() -> None:
    nothing: Any = SimpleNamespace()
    assert PARAMETERS.train.search.candidates == [] and outcome([]) is None
    assert trials_of(Untouched("scenes", "unet", 0, PARAMETERS, nothing, nothing)) == []


def test_what_an_earlier_search_found_is_taken_without_trials(tmp_path: Path) -> None:
    changes = {
        "train.search": {"epochs": 2, "candidates": CANDIDATES},
        "models.unet.found": {"camvid": CANDIDATES[1]},
    }
    parameters = load(write_params(tmp_path, changes))
    nothing: Any = SimpleNamespace()
    known = Untouched("camvid", "unet", 5, parameters, nothing, nothing)
    found = found_before(known)
    assert trials_of(known) == [] and found is not None
    assert (found["epochs"], found["best"]) == (2, {"lr": 0.01, "backbone_lr_factor": 1})
    assert [trial["values"] for trial in found["trials"]] == CANDIDATES
    changes["train.search"] = {"epochs": 2, "candidates": []}
    switched_off = Untouched("camvid", "unet", 5, load(write_params(tmp_path, changes)), nothing, nothing)
    assert found_before(switched_off) is None and trials_of(switched_off) == []
    for dataset, model in (("scenes", "unet"), ("camvid", "fcn_8s")):
        other = Untouched(dataset, model, 5, parameters, nothing, nothing)
        assert found_before(other) is None and len(trials_of(other)) == len(CANDIDATES)


def test_what_is_not_trained_by_epochs_is_not_searched(tmp_path: Path) -> None:
    clusters = PARAMETERS.models["color_clusters"].model_dump()
    changes = {"train.search": {"epochs": 2, "candidates": CANDIDATES}, "models.color_clusters": clusters}
    path = write_params(tmp_path, changes)
    nothing: Any = SimpleNamespace()
    assert trials_of(Untouched("scenes", "color_clusters", 0, load(path), nothing, nothing)) == []
