"""All results of a dataset as one tidy table, for pandas, seaborn, R or a spreadsheet."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import pandas as pd

from segbench.scoring.counts import SplitCounts
from segbench.scoring.metrics import SHORT_NAMES, Scores

COLUMNS = ["model", "crf", "seed", "class", "metric", "value"]


def results_table(
    counts: Mapping[str, Mapping[str, SplitCounts]], *, seeds: Mapping[str, Sequence[int]], class_names: Sequence[str]
) -> pd.DataFrame:
    """One row per model, CRF off or on, training seed, class and metric, with its value as a fraction.

    Metrics of a class are accuracy, precision, IoU and Dice; those of the whole split, whose class is `all`, are aAcc,
    mAcc, mIoU and mDice. The value is missing where a class has no pixels, the seed for other programs' predictions.

    counts: by model, then by `off` and `on`, as `read_counts` returns them. seeds: the training seeds by model, in the
    order of its counts; a model without an entry has no seed.

    The pipeline writes the table to a file. To load it, and to pivot it to IoU by class, averaged over seeds:

        results = pd.read_csv("reports/scenes/results.csv")
        results[results["metric"] == "IoU"].pivot_table("value", index=["model", "crf"], columns="class")
    """
    return _table(counts, SplitCounts.scores, seeds=seeds, class_names=class_names)


def groups_table(
    counts: Mapping[str, Mapping[str, SplitCounts]],
    *,
    groups: Mapping[str, Sequence[bool]],
    seeds: Mapping[str, Sequence[int]],
    class_names: Sequence[str],
) -> pd.DataFrame:
    """As `results_table`, for each group of test images. groups: by name, which of the images are in the group.

    It is a table of its own, so that no mean over rows of the other one mixes a whole with its parts:

        groups = pd.read_csv("reports/camvid/groups.csv")
        iou = groups[groups["metric"] == "IoU"]
        iou.pivot_table("value", index=["model", "crf", "class"], columns="group")
    """
    tables = [pd.DataFrame(columns=["group", *COLUMNS])]
    for name, chosen in groups.items():
        table = _table(counts, partial(SplitCounts.scores_of, chosen=chosen), seeds=seeds, class_names=class_names)
        tables.append(table.assign(group=name)[["group", *COLUMNS]])
    return pd.concat(tables[1:] or tables, ignore_index=True)


def _table(
    counts: Mapping[str, Mapping[str, SplitCounts]],
    scores_of: Callable[[SplitCounts], list[Scores]],
    *,
    seeds: Mapping[str, Sequence[int]],
    class_names: Sequence[str],
) -> pd.DataFrame:
    """As `results_table`, of the scores of each seed that scores_of takes from counts."""
    tables = [
        _tidy(scores, class_names).assign(model=model, crf=crf, seed=seed)
        for model, by_crf in counts.items()
        for crf, split_counts in by_crf.items()
        for seed, scores in zip(seeds.get(model, [None]), scores_of(split_counts), strict=True)
    ]
    return pd.concat(tables, ignore_index=True)[COLUMNS].astype({"seed": "Int64"})


def _tidy(scores: Scores, class_names: Sequence[str]) -> pd.DataFrame:
    """Columns class, metric and value: all metrics of each class, then those of the whole split."""
    of_classes = pd.DataFrame(
        {
            "class": class_names,
            "accuracy": scores.class_accuracy,
            "precision": scores.class_precision,
            "IoU": scores.class_iou,
            "Dice": scores.class_dice,
        }
    )
    of_split = pd.DataFrame(
        {"class": ["all"]} | {short: [getattr(scores, name)] for short, name in SHORT_NAMES.items()}
    )
    return pd.concat([table.melt(id_vars="class", var_name="metric") for table in (of_classes, of_split)])
