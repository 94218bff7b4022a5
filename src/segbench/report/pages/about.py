"""How a report was made, and links to what it was made from: files of the repository beside it, and runs of MLflow."""

import re
import subprocess
from collections.abc import Sequence
from functools import cache
from typing import Any

import yaml

from segbench.datasets.catalog import Attribution
from segbench.files import project_root
from segbench.params.models import section_of
from segbench.report.table.content import About, Link, Origin
from segbench.report.table.results import ModelResults

FILES = {
    "table (CSV)": "benchmark.csv",
    "table (Markdown)": "benchmark.md",
    "table (LaTeX)": "benchmark.tex",
    "all paired differences (CSV)": "differences.csv",
    "one row per model, seed, class and metric (CSV)": "results.csv",
    "audit of the images": "audit.md",
    "claims of the lecture": "claims.md",
}
MODEL_FILES = {
    "learning curves (CSV)": "curves.csv",
    "predictions": "predictions.png",
    "CRF search": "crf_search.png",
    "CRF candidates (JSON)": "crf.json",
    "CRF steps": "crf_steps.png",
    "training (JSON)": "training.json",
}
PROJECT = "../.."
"""The project's folder, seen from that of the dataset's reports."""


def about(models: Sequence[ModelResults], attribution: Attribution) -> About:
    """The links hold in the project's folder, and on a page of its repository."""
    return About(
        origins=tuple(map(_origin, models)),
        files=tuple(Link(text, name) for text, name in FILES.items()),
        licence=attribution.licence,
        home=attribution.home,
        papers=attribution.papers,
    )


@cache
def commit_day(commit: str) -> str:
    """The day of a commit, such as `2026-11-28`; empty where git or the commit is missing, as in a shallow clone."""
    if not re.fullmatch(r"[0-9a-f]{7,40}(-dirty)?", commit):
        return ""
    command = ["git", "show", "-s", "--format=%cs", commit.removesuffix("-dirty")]
    try:
        found = subprocess.run(command, cwd=project_root(), capture_output=True, encoding="utf-8", check=True)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return found.stdout.strip()


def _origin(model: ModelResults) -> Origin:
    module = section_of(model.settings["model"]["architecture"]).network.partition(":")[0]
    source = f"{PROJECT}/src/{module.replace('.', '/')}.py"
    files = [Link(text, f"models/{model.name}/{name}") for text, name in MODEL_FILES.items()]
    return Origin(
        model=model.name,
        links=(Link(source.rpartition("/")[2], source), *files),
        training_keys={training["seed"]: training["training_key"] for training in model.training["trainings"]},
        values=_values(model),
    )


def _values(model: ModelResults) -> str:
    """As YAML: the model's section, and those of the backbone and the schedule if it has them."""
    settings = model.settings
    own = {name: value for name, value in settings["model"].items() if name not in ("name", "backbone")}
    shown: dict[str, Any] = {"models": {model.name: own}}
    if model.backbone:
        shown["backbone"] = dict(model.backbone)
    if not model.epochs.empty:
        shown["train"] = settings["train"]
    return yaml.safe_dump(shown, sort_keys=False, default_flow_style=None, width=100)
