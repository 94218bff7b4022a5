"""What experiments changed in params.yaml, and what each reached on the validation split."""

import statistics
from collections.abc import Sequence
from typing import Any

from segbench.errors import InputError
from segbench.report.pages.markdown import table
from segbench.report.table.numbers import MISSING, percent

FINISHED = (None, "Success")
"""None: of an experiment that ran in the workspace."""
UNSET = (None, "None")
NO_CHANGE = "(nothing else)"


def sweep_page(rows: Sequence[dict[str, Any]], *, dataset: str, sections: Sequence[str]) -> str:
    """Markdown: a line an experiment, best first by the mean over the models that all of them trained.

    rows: as `dvc.api.exp_show` has them: each commit and then its experiments, with metrics and parameters by their
    dotted names; sections: of params.yaml, whose changes are named. A score that is the commit's own was not made by
    the experiment and is left out. Raises InputError if no experiment trained a model on the dataset.
    """
    lines: list[tuple[list[str], dict[str, float]]] = []
    settings: list[list[str]] = []
    commit: dict[str, Any] = {}
    for row in rows:
        scores = _scores(row, dataset)
        if row["typ"] == "baseline":
            commit = row
        elif row["State"] in FINISHED:
            known = _scores(commit, dataset)
            scores = {model: score for model, score in scores.items() if score != known.get(model)}
            if scores:
                lines.append((_changes(row, commit, sections), scores))
                settings.append(_setting(row, commit, dataset))
    if not lines:
        raise InputError(f"no experiment trained a model on {dataset}; start some with dvc exp run, as README says")
    models = [model for model in lines[0][1] if all(model in scores for _, scores in lines)]
    if not models:
        raise InputError(f"no model was trained on {dataset} by all experiments; dvc exp remove those that differ")
    several = len(lines) > 1
    common = [change for change in lines[0][0] if several and all(change in changes for changes, _ in lines)]
    setting = [value for value in settings[0] if all(value in others for others in settings)]
    scored = [
        (", ".join(change for change in changes if change not in common), [scores[model] for model in models])
        for changes, scores in lines
    ]
    cells = [
        [changes or NO_CHANGE, *map(percent, scores), percent(statistics.fmean(scores))]
        for changes, scores in sorted(scored, key=lambda line: -statistics.fmean(line[1]))
    ]
    return "\n".join([
        f"# Sweep of {dataset}",
        "",
        "What was changed in params.yaml, and mIoU (%) on the validation split after training; best first by the mean.",
        *([f"In all: {', '.join([*setting, *common])}."] if setting or common else []),
        "",
        *table(["Changed", *models, "Mean"], cells, left=1),
        "",
    ])  # fmt: skip


def _scores(row: dict[str, Any], dataset: str) -> dict[str, float]:
    """Of each model, which the train stage wrote under val.<dataset>.<model>."""
    prefix = f"val.{dataset}."
    return {
        name.rpartition(prefix)[2]: value
        for name, value in row.items()
        if prefix in name and isinstance(value, float)  # None where there is none, ! where it cannot be read
    }


def _setting(row: dict[str, Any], commit: dict[str, Any], dataset: str) -> list[str]:
    """What a reader must know to compare the scores with others, as far as the experiment left it as it was."""
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
    """A number without zeros behind it; a list, which DVC has as text, without quotes."""
    match value:
        case _ if value in UNSET:
            return MISSING
        case float():
            return f"{value:g}"
    return str(value).replace("'", "")
