"""The tidy table of results: by hand, against `compute_scores` and `average_scores`, and through a file."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from segbench.files import write_csv
from segbench.scoring.counts import SplitCounts
from segbench.scoring.metrics import average_scores, compute_scores
from segbench.scoring.results import groups_table, results_table
from tests.scoring.population import Population, split_counts

NAMES = ["road", "sky", "car", "boat", "pole", "sign"]
CLASS_METRICS = {"accuracy": "class_accuracy", "precision": "class_precision", "IoU": "class_iou", "Dice": "class_dice"}
SPLIT_METRICS = {"aAcc": "pixel_accuracy", "mAcc": "mean_accuracy", "mIoU": "mean_iou", "mDice": "mean_dice"}


@pytest.fixture(scope="module")
def counts() -> dict[str, dict[str, SplitCounts]]:
    """Two models and another program; the second model has two seeds, in which a class is never seen or only in one."""
    rng = np.random.default_rng(0)
    fcn, unet_off, unet_on, other = (Population().sample(rng, 5, seeds) for seeds in (1, 2, 2, 1))
    unet_off[:, :, 4:], unet_off[:, :, :, 4:] = 0, 0
    unet_off[1, :, 0, 4] = 7
    return {
        "fcn": {"off": split_counts(fcn), "on": split_counts(fcn[:, ::-1])},
        "unet": {"off": split_counts(unet_off), "on": split_counts(unet_on)},
        "other program": {"off": split_counts(other)},
    }


@pytest.fixture(scope="module")
def table(counts: dict[str, dict[str, SplitCounts]]) -> pd.DataFrame:
    return results_table(counts, seeds={"fcn": [0], "unet": [0, 3]}, class_names=NAMES)


def test_a_two_by_two_case_by_hand() -> None:
    images = np.array([[[[1, 0], [0, 2]], [[0, 1], [0, 0]]]])  # together [[1, 1], [0, 2]]
    table = results_table({"fcn": {"off": split_counts(images)}}, seeds={"fcn": [7]}, class_names=["road", "sky"])
    assert list(table.columns) == ["model", "crf", "seed", "class", "metric", "value"]
    assert (table[["model", "crf", "seed"]] == ["fcn", "off", 7]).all(axis=None)
    value = table.set_index(["class", "metric"])["value"]
    expected = {
        ("road", "accuracy"): 1 / 2, ("road", "precision"): 1, ("road", "IoU"): 1 / 2, ("road", "Dice"): 2 / 3,
        ("sky", "accuracy"): 1, ("sky", "precision"): 2 / 3, ("sky", "IoU"): 2 / 3, ("sky", "Dice"): 4 / 5,
        ("all", "aAcc"): 3 / 4, ("all", "mAcc"): 3 / 4, ("all", "mIoU"): 7 / 12, ("all", "mDice"): 11 / 15,
    }  # fmt: skip
    assert value.to_dict() == pytest.approx(expected)


def test_the_value_is_missing_where_a_class_has_no_pixels() -> None:
    images = np.array([[[[3, 0, 1], [0, 0, 0], [0, 0, 0]]]])  # sky is nowhere, car is only predicted
    table = results_table(
        {"fcn": {"off": split_counts(images)}}, seeds={"fcn": [0]}, class_names=["road", "sky", "car"]
    )
    missing = table[table["value"].isna()]
    assert sorted(zip(missing["class"], missing["metric"], strict=True)) == [
        ("car", "accuracy"), ("sky", "Dice"), ("sky", "IoU"), ("sky", "accuracy"), ("sky", "precision")
    ]  # fmt: skip


def test_every_value_is_that_of_compute_scores(counts: dict[str, dict[str, SplitCounts]], table: pd.DataFrame) -> None:
    assert len(table) == 7 * (4 * len(NAMES) + 4)  # 7 of the models' seeds with and without a CRF
    value = table.set_index(["model", "crf", "seed", "class", "metric"])["value"].sort_index()
    assert value.index.is_unique
    for model, crf, seed, seed_index in (("fcn", "on", 0, 0), ("unet", "off", 3, 1), ("unet", "on", 0, 0)):
        scores = compute_scores(counts[model][crf].confusions[seed_index])
        for metric, name in SPLIT_METRICS.items():
            assert value[model, crf, seed, "all", metric] == getattr(scores, name)
        for metric, name in CLASS_METRICS.items():
            found = value[model, crf, seed].xs(metric, level="metric")[NAMES]
            np.testing.assert_array_equal(found, getattr(scores, name))


def test_the_mean_over_seeds_is_that_of_average_scores(
    counts: dict[str, dict[str, SplitCounts]], table: pd.DataFrame
) -> None:
    means = table.groupby(["model", "crf", "class", "metric"])["value"].mean()
    for model, by_crf in counts.items():
        for crf, of_seeds in by_crf.items():
            scores = average_scores(of_seeds.scores())
            for metric, name in SPLIT_METRICS.items():
                assert means[model, crf, "all", metric] == pytest.approx(getattr(scores, name))
            for metric, name in CLASS_METRICS.items():
                found = means[model, crf].xs(metric, level="metric")[NAMES]
                np.testing.assert_allclose(found, getattr(scores, name))


def test_other_programs_have_no_seed(table: pd.DataFrame) -> None:
    assert table["seed"].dtype == "Int64"
    assert table[table["model"] == "other program"]["seed"].isna().all()
    assert sorted(table[table["model"] == "unet"]["seed"].unique()) == [0, 3]


def test_seeds_that_do_not_fit_the_counts_are_refused(counts: dict[str, dict[str, SplitCounts]]) -> None:
    with pytest.raises(ValueError, match=r"zip\(\)"):
        results_table(counts, seeds={"fcn": [0, 1], "unet": [0, 3]}, class_names=NAMES)


def test_the_file_is_read_and_pivoted_in_one_line_each(table: pd.DataFrame, tmp_path: Path) -> None:
    write_csv(tmp_path / "results.csv", table)
    assert "other program,off,,all,mIoU,0." in (tmp_path / "results.csv").read_text()
    results = pd.read_csv(tmp_path / "results.csv")
    pd.testing.assert_frame_equal(results.astype({"seed": "Int64"}), table)
    by_class = results[results["metric"] == "IoU"].pivot_table("value", index=["model", "crf"], columns="class")
    assert by_class.shape == (5, len(NAMES))
    expected = table[(table["model"] == "unet") & (table["crf"] == "on") & (table["metric"] == "IoU")]
    assert by_class.loc[("unet", "on"), "sky"] == pytest.approx(expected[expected["class"] == "sky"]["value"].mean())


def test_each_group_has_the_table_of_its_own_images() -> None:
    first, second = np.array([[3, 1], [0, 2]]), np.array([[1, 0], [4, 5]])
    both = {"fcn": {"off": split_counts(np.array([[first, second, first]]))}}
    groups = {"town": [True, False, True], "country": [False, True, False]}
    table = groups_table(both, groups=groups, seeds={"fcn": [3]}, class_names=["road", "sky"])
    assert list(table.columns) == ["group", "model", "crf", "seed", "class", "metric", "value"]
    value = table.set_index(["group", "model", "crf", "seed", "class", "metric"])["value"]
    for group, confusion in (("town", 2 * first), ("country", second)):
        expected = compute_scores(confusion)
        assert value[group, "fcn", "off", 3, "all", "mIoU"] == expected.mean_iou
        assert value[group, "fcn", "off", 3, "sky", "IoU"] == expected.class_iou[1]
    assert len(table) == 2 * (4 * 2 + 4) and table["seed"].dtype == "Int64"
    none = groups_table(both, groups={}, seeds={"fcn": [3]}, class_names=["road", "sky"])
    assert list(none.columns) == list(table.columns) and none.empty


@pytest.mark.parametrize("stage", ["evaluate", "external"])
def test_stages_that_write_no_table_do_not_wait_for_pandas(stage: str) -> None:
    code = f"import sys, pipeline.{stage}; assert 'segbench.scoring.counts' in sys.modules; print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"pandas", "mlflow", "torch"} & set(modules)
