"""The scores that experiments reached on the validation split, and below, what each changed in params.yaml."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from segbench.errors import InputError
from segbench.report.pages.markdown import named_values, table
from segbench.report.table.numbers import MISSING, percent

FINISHED = (None, "Success")
"""None: of an experiment that ran in the workspace."""
UNSET = (None, "None")
NO_CHANGE, NO_OTHER_CHANGE = "(nothing)", "(nothing else)"


def sweep_markdown(rows: Sequence[dict[str, Any]], *, dataset: str, sections: Sequence[str]) -> str:
    """The page: one line per experiment, best first by the mean over the models that all of them trained.

    The table goes by DVC's names of the experiments, since a change may be as long as a list of transforms.

    rows: as `dvc.api.exp_show` has them: each commit and then its experiments, with metrics and parameters by their
    dotted names; sections: of params.yaml, whose changes are named. A score that equals the commit's was not made by
    the experiment and is left out. Raises InputError if no experiment trained a model on the dataset.
    """
    scores: list[dict[str, float]] = []
    changes: list[list[str]] = []
    settings: list[list[str]] = []
    names: list[str] = []
    commit: dict[str, Any] = {}
    for row in rows:
        if row["typ"] == "baseline":
            commit = row
        elif row["State"] in FINISHED:
            known = _scores(commit, dataset)
            own = {model: score for model, score in _scores(row, dataset).items() if score != known.get(model)}
            if own:
                scores.append(own)
                names.append(_name(row, place=len(scores)))
                changes.append(_changes(row, commit, sections))
                settings.append(_setting(row, commit, dataset))
    if not scores:
        raise InputError(f"no experiment trained a model on {dataset}; start some with dvc exp run, as the guide says")
    trained_by_all = pd.DataFrame(scores).dropna(axis="columns")
    if trained_by_all.empty:
        raise InputError(f"no model was trained on {dataset} by all experiments; dvc exp remove those that differ")
    left_out = sorted({model for of_row in scores for model in of_row} - set(trained_by_all))
    common = _in_all(changes) if len(changes) > 1 else []
    unchanged = NO_OTHER_CHANGE if common else NO_CHANGE
    changed = [", ".join(change for change in of_row if change not in common) or unchanged for of_row in changes]
    results = trained_by_all.assign(Mean=trained_by_all.mean(axis="columns"))
    results = results.sort_values("Mean", ascending=False, kind="stable")
    in_all = [*_in_all(settings), *common]
    cells = [[names[place], *map(percent, values)] for place, *values in results.itertuples()]
    return "\n".join([
        f"# Sweep of {dataset}",
        "",
        "mIoU (%) on the validation split after training, the best mean first; below, what each experiment changed in "
        "params.yaml.",
        *([f"{'All experiments' if len(scores) > 1 else 'The experiment'}: {', '.join(in_all)}."] if in_all else []),
        *([f"Left out, since not every experiment trained them: {', '.join(left_out)}."] if left_out else []),
        "",
        *table(["Experiment", *results], cells, left=1),
        "",
        *named_values((names[place], changed[place]) for place in results.index),
        "",
    ])  # fmt: skip


def _name(row: dict[str, Any], *, place: int) -> str:
    """DVC's name, such as urban-sign, by which it applies and removes an experiment; its place if it has none."""
    return str(row.get("Experiment") or place)


def _in_all(texts: Sequence[list[str]]) -> list[str]:
    return [text for text in texts[0] if all(text in others for others in texts)]


def _scores(row: dict[str, Any], dataset: str) -> dict[str, float]:
    """By model, as the train stage wrote them under val.<dataset>.<model>."""
    prefix = f"val.{dataset}."
    return {
        name.rpartition(prefix)[2]: value
        for name, value in row.items()
        if prefix in name and isinstance(value, float)  # None where there is none, ! where it cannot be read
    }


def _setting(row: dict[str, Any], commit: dict[str, Any], dataset: str) -> list[str]:
    """Settings that the scores depend on, as far as the experiment left them unchanged."""
    own = f"datasets.{dataset}"
    names = [f"{own}.source.split", f"{own}.input.scale", f"{own}.input.crop_px", "backbone.name", "backbone.weights"]
    names += [
        f"{own}.train.{field}" if row.get(f"{own}.train.{field}") not in UNSET else f"train.{field}"
        for field in ("epochs", "batch_size", "lr", "seeds")
    ]
    return [
        f"{name} {_shown(row[name])}" for name in names if row.get(name) not in UNSET and row[name] == commit.get(name)
    ]


def _changes(row: dict[str, Any], commit: dict[str, Any], sections: Sequence[str]) -> list[str]:
    return [
        f"{name} {_shown(commit.get(name))} \N{RIGHTWARDS ARROW} {_shown(value)}"
        for name, value in row.items()
        if name.split(".")[0] in sections and value != commit.get(name)
    ]


def _shown(value: Any) -> str:
    """A number without trailing zeros; a list, which DVC has as text, without quotes."""
    match value:
        case _ if value in UNSET:
            return MISSING
        case float():
            return f"{value:g}"
    return str(value).replace("'", "")
