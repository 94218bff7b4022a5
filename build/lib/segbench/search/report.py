"""What a search found: the best values as lines of params.yaml, which parameters mattered, and all trials."""

from collections.abc import Mapping, Sequence
from typing import Any

import optuna
import yaml
from optuna.trial import FrozenTrial, TrialState

from segbench import tracking
from segbench.files import replacing
from segbench.report.pages.markdown import named_values, table
from segbench.report.table.numbers import MISSING, percent
from segbench.search.space import Space, drawn, shown
from segbench.search.trials import SECONDS, WHY, Search, key_of, trials_of

BAR_CELLS = 20
FEWEST_TRIALS = 4
"""Below, importances would be noise."""
ENDED = {TrialState.COMPLETE: "complete", TrialState.PRUNED: "pruned", TrialState.FAIL: "failed"}


def write_report(search: Search) -> str:
    """Write the search's page beside its trials, log it to the search's run, and return what to print of it."""
    trials = trials_of(search)
    best = best_of(trials)
    page = search_markdown(search, trials)
    path = search.folder.with_suffix(".md")
    with replacing(path) as temporary:
        temporary.write_text(page, encoding="utf-8")
    with tracking.search_run(dataset=search.dataset, key=key_of(search)) as tracked:
        tracked.log_file(path)
        if best is not None:
            tracked.log_parameters(values_of(search.space, best))
            tracked.log_metrics({tracking.CURVES["val_mean_iou"]: best.value})
    tracking.send_waiting()
    where = f"written: {path}"
    if best is None:
        return f"no trial was completed\n{where}"
    score = f"{percent(_score(best))} % mIoU on the validation images"
    return f"best: trial {best.number}, {score}\n\n{_lines(search, best)}\n{where}"


def best_of(trials: Sequence[FrozenTrial]) -> FrozenTrial | None:
    """The completed trial with the highest score, the first of equal ones; None without any."""
    complete = [trial for trial in trials if trial.state is TrialState.COMPLETE]
    return max(complete, key=_score, default=None)


def values_of(space: Space, trial: FrozenTrial) -> dict[str, Any]:
    """What the trial changed in params.yaml, by dotted path; nothing if it was never begun."""
    return drawn(space, optuna.trial.FixedTrial(trial.params)) if trial.params else {}


def search_markdown(search: Search, trials: Sequence[FrozenTrial]) -> str:
    """The page. Trials go by their numbers, best first; their values stand below the table."""
    best = best_of(trials)
    ranked = sorted(trials, key=lambda trial: (trial.state is TrialState.COMPLETE, _score(trial)), reverse=True)
    counts = [f"{sum(trial.state is state for trial in trials)} {word}" for state, word in ENDED.items()]
    ranges = [f"- `{path}`: {values}" for path, values in shown(search.space).items()]
    found = ["No trial was completed."] if best is None else [
        f"Trial {best.number} was the best. In params.yaml:", "", "```yaml", *_lines(search, best).splitlines(), "```",
    ]  # fmt: skip
    return "\n".join([
        f"# Search for {search.dataset}/{search.model}",
        "",
        f"{len(trials)} trials of {search.epochs} epochs ({', '.join(counts)}), judged by mIoU on the validation "
        "split; no test image was looked at. A pruned trial was stopped early, since it was behind the others.",
        "",
        *ranges,
        "",
        *found,
        "",
        *_importances(search, trials),
        "## Trials",
        "",
        *table(["Trial", "mIoU (%)", "Epochs", "Minutes", "Ended"], map(_cells, ranked), left=1),
        "",
        *named_values((str(trial.number), _words(values_of(search.space, trial))) for trial in ranked),
        "",
    ])  # fmt: skip


def importances(space: Space, trials: Sequence[FrozenTrial]) -> dict[str, float]:
    """The share of the scores' variance that each path explains (Hutter et al. 2014), the largest first.

    Empty with fewer than FEWEST_TRIALS completed trials, or if their scores are all the same.
    """
    complete = [trial for trial in trials if trial.state is TrialState.COMPLETE]
    if len(complete) < FEWEST_TRIALS or len({trial.value for trial in complete}) < 2:
        return {}
    study = optuna.create_study(direction="maximize")
    study.add_trials(complete)
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
    return optuna.importance.get_param_importances(study, evaluator=evaluator, params=list(space))


def _importances(search: Search, trials: Sequence[FrozenTrial]) -> list[str]:
    shares = importances(search.space, trials)
    if not shares:
        return []
    cells = [[path, percent(share), "█" * round(BAR_CELLS * share)] for path, share in shares.items()]
    return [
        "## Importance",
        "",
        "How much of the differences between the completed trials' scores each parameter explains (fANOVA).",
        "",
        *table(["Parameter", "%", ""], [[path, share, bar.ljust(BAR_CELLS)] for path, share, bar in cells], left=1),
        "",
    ]


def _cells(trial: FrozenTrial) -> list[str]:
    minutes = trial.user_attrs.get(SECONDS)
    scores = trial.intermediate_values
    return [
        str(trial.number),
        percent(_score(trial)) if trial.value is not None or scores else MISSING,
        str(max(scores)) if scores else MISSING,
        f"{minutes / 60:.1f}" if minutes is not None else MISSING,
        str(trial.user_attrs.get(WHY, ENDED[trial.state])),
    ]


def _score(trial: FrozenTrial) -> float:
    """Its score, or the last one that it had when it was stopped, below all others if it had none."""
    if trial.state is TrialState.COMPLETE and trial.value is not None:
        return trial.value
    scores = trial.intermediate_values
    return scores[max(scores)] if scores else -1.0


def _lines(search: Search, trial: FrozenTrial) -> str:
    """The trial's values as params.yaml has them."""
    tree: dict[str, Any] = {}
    for path, value in values_of(search.space, trial).items():
        node = tree
        *parents, name = path.split(".")
        for parent in parents:
            node = node.setdefault(parent, {})
        node[name] = value
    return yaml.safe_dump(tree, sort_keys=False)


def _words(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{path} {value}" for path, value in values.items()) or MISSING
