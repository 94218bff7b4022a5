"""What MLflow shows first: the names of metrics, and a view of the runs.

MLflow's pages know no other order than the alphabet. In a chart view, the part of a name before the slash is a section,
and the sections come before metrics without one; so those that people compare are named to be first in both: `mIoU/`,
`other/`, `resources/`, then `system/` and `training/`.
"""

import json
from collections.abc import Mapping
from typing import Any

BENCHMARK = "benchmark"
SCORES = {
    "mIoU": "mIoU/test", "mIoU_crf": "mIoU/test_crf", "mDice": "other/mDice", "mAcc": "other/mAcc",
    "aAcc": "other/aAcc",
}  # fmt: skip
"""Those of the test images, by the names that they have in files."""
RESOURCES = {
    "latency_ms": "resources/latency_ms", "multiply_adds": "resources/multiply_adds_g",
    "parameters": "resources/parameters_m", "training_seconds": "resources/training_min",
    "training_peak_memory_mib": "resources/peak_memory_mib",
}  # fmt: skip
UNITS = {"multiply_adds": 1e9, "parameters": 1e6, "training_seconds": 60}
"""By what a value in a file is divided; others are shown as they are."""
CURVES = {
    "val_mean_iou": "mIoU/validation", "train_loss": "training/loss", "val_loss": "training/loss_validation",
    "lr": "training/lr", "images_per_second": "training/images_per_second",
}  # fmt: skip
"""One value per epoch."""
TOTAL_MINUTES = "training/total_min"
"""Of all models: it stands in the run above theirs. MLflow's chart view begins with the charts of that run, and puts
those of the runs below in their order only where one that comes after them is there already."""
IMAGES_SEEN = "training/images_seen"
"""A metric may be the x axis of MLflow's charts, so that each curve is also one over the images seen; a second copy of
each curve, whose step is the number of images, would double the charts."""

_COLUMNS = [f"metrics.`{name}`" for name in (*SCORES.values(), *RESOURCES.values())]
_BEST_FIRST: dict[str, Any] = {"orderByKey": _COLUMNS[0], "orderByAsc": False, "selectedColumns": _COLUMNS}
_VIEWS: dict[str, tuple[str, dict[str, Any]]] = {
    "scores": ("Scores, best first", {"columnOrder": _COLUMNS, "columnWidths": dict.fromkeys(_COLUMNS, 120)}),
    "images_seen": (
        "Curves by images seen",
        {"globalLineChartConfig": {"xAxisKey": "metric", "selectedXAxisMetricKey": IMAGES_SEEN, "lineSmoothness": 0}},
    ),
}
"""What each has beside `_BEST_FIRST`."""
VIEW_TAGS = {
    f"mlflow.sharedViewState.{key}": json.dumps(
        {"name": name, "createdAt": 0, "updatedAt": 0, "state": json.dumps({**_BEST_FIRST, **state})}
    )
    for key, (name, state) in _VIEWS.items()
}
"""An experiment's views, as MLflow saves them, which people choose under Views, or open by
#/experiments/ID/runs?viewStateShareKey=scores. By default, MLflow's table of runs shows no metric."""


def resources(values: Mapping[str, Any]) -> dict[str, float | None]:
    """Costs by MLflow's names and in its units. values: by the names in files; others are left out."""
    return {
        name: None if (value := values[known]) is None else value / UNITS.get(known, 1)
        for known, name in RESOURCES.items()
        if known in values
    }
