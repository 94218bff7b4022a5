"""The model to use: the best on the validation images, since choosing by the test score would spoil that score."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from segbench import params
from segbench.report.table.results import ModelResults

SCORES = {"mean_iou": "val_mean_iou", "pixel_accuracy": "val_pixel_accuracy"}
"""Columns of the learning curves."""
SCORE_NAMES = {"mean_iou": "mIoU", "pixel_accuracy": "pixel accuracy", "mean_dice": "mDice"}


@dataclass(frozen=True)
class Candidate:
    """A model as it would be used.

    score: on the validation images without a CRF, a fraction, the mean over seeds; seed: of the training whose score is
    the highest. crf: whether a CRF is part of it, since one was better on validation images. latency_ms: per image,
    with that of the CRF. keeps_budget: whether latency and memory are within the budgets.
    """

    model: str
    score: float
    seed: int
    crf: bool
    latency_ms: float
    memory_mib: float
    keeps_budget: bool


def candidates_of(models: Sequence[ModelResults], rule: params.Champion) -> list[Candidate]:
    """All models with a validation score, the best first. A CRF is left out where it alone breaks a budget."""
    found = []
    for model in models:
        scores = validation_scores(model, score=rule.score)
        if not scores:  # the colour baseline is not validated
            continue
        alone = _candidate(model, scores, rule, crf=False)
        refined = _candidate(model, scores, rule, crf=True) if model.crf["chosen"] else alone
        found.append(refined if refined.keeps_budget or not alone.keeps_budget else alone)
    return sorted(found, key=lambda candidate: -candidate.score)


def champion_of(candidates: Sequence[Candidate]) -> Candidate | None:
    """The best that keeps the budgets; None if none does."""
    return next((candidate for candidate in candidates if candidate.keeps_budget), None)


def champion_content(models: Sequence[ModelResults], rule: params.Champion) -> dict[str, Any]:
    """The choice for a JSON file: the rule, the champion and all that it was chosen from."""
    candidates = candidates_of(models, rule)
    champion = champion_of(candidates)
    return {
        "rule": rule.model_dump(),
        "champion": asdict(champion) if champion else None,
        "candidates": [asdict(candidate) for candidate in candidates],
    }


def validation_scores(model: ModelResults, *, score: str) -> dict[int, float]:
    """The score of each seed's kept weights on the validation images; empty if the model was never validated."""
    column, keeps_best = SCORES[score], model.settings["train"]["checkpoint"] == "best"
    kept: dict[int, float] = {}
    for seed, curve in model.epochs.dropna(subset=[SCORES["mean_iou"]]).groupby("seed"):
        if seed in model.seeds:
            place = int(curve[SCORES["mean_iou"]].to_numpy().argmax()) if keeps_best else -1
            kept[int(str(seed))] = float(curve[column].to_numpy()[place])
    return kept


def _candidate(model: ModelResults, scores: dict[int, float], rule: params.Champion, *, crf: bool) -> Candidate:
    latency_ms = model.latency["latency_ms"] + (model.crf["latency_ms"] if crf else 0)
    memory_mib = model.prediction["peak_memory_mib"]
    return Candidate(
        model=model.name,
        score=sum(scores.values()) / len(scores),
        seed=max(scores, key=lambda seed: scores[seed]),
        crf=crf,
        latency_ms=round(latency_ms, 2),
        memory_mib=memory_mib,
        keeps_budget=latency_ms <= (rule.most_latency_ms or latency_ms)
        and memory_mib <= (rule.most_memory_mib or memory_mib),
    )


def describe_champion(models: Sequence[ModelResults], rule: params.Champion, *, dataset: str) -> str:
    """The choice in a few sentences, the command between backticks; empty if there was nothing to choose from."""
    candidates = candidates_of(models, rule)
    if not candidates:
        return ""
    budgets = [
        f"at most {value:g} {unit}"
        for value, unit in ((rule.most_latency_ms, "ms per image"), (rule.most_memory_mib, "MiB of memory"))
        if value is not None
    ]
    within = f" among the models that need {' and '.join(budgets)}" if budgets else ""
    champion = champion_of(candidates)
    if champion is None:
        return f"No champion: no model keeps to {' and '.join(budgets)}, as params.yaml asks."
    value = f"{100 * champion.score:.1f}\N{NO-BREAK SPACE}%"
    before = " before any CRF" if any(candidate.crf for candidate in candidates) else ""
    crf, option = next(model.crf for model in models if model.name == champion.model), ""
    refined = f" Its CRF goes with it: on validation images, the CRF raises {SCORE_NAMES[crf['objective']]}."
    if crf["chosen"] and not champion.crf:  # the package has it all the same
        refined, option = f" It keeps to {' and '.join(budgets)} only without its CRF.", " --no-crf"
    elif not crf["chosen"]:
        refined = ""
    return (
        f"Champion: {champion.model}. It has the highest {SCORE_NAMES[rule.score]} on the validation images{within}, "
        f"{value}{before}.{refined} Scores on test images did not count in the choice. "
        f"To use it: `segbench predict models:/segbench-{dataset}@champion photos/ --out labelled{option}`"
    )
