"""A sweep's page: the changes, and the scores that they reached."""

from typing import Any

import pytest

from segbench.errors import InputError
from segbench.report.pages.sweep import sweep_markdown
from segbench.report.table.numbers import MISSING

COMMIT: dict[str, Any] = {
    "typ": "baseline",
    "State": None,
    "val.street.unet": 0.3,
    "train.lr": 0.004,
    "train.loss.dice": "None",
    "data/x": "hash a",
}


def experiment(**changed: Any) -> dict[str, Any]:
    return {**COMMIT, "typ": "branch_commit", "State": "Success", "data/x": "hash b", **changed}


def lines(*rows: dict[str, Any]) -> list[list[str]]:
    """The table's cells, where each experiment's name is replaced by what the page says of it below."""
    page = sweep_markdown([COMMIT, *rows], dataset="street", sections=["train"])
    below = dict(line.removeprefix("- ").split(": ", 1) for line in page.splitlines() if line.startswith("- "))
    cells = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in page.splitlines() if line.startswith("|")
    ]
    assert len(below) == len(cells) - 2
    return [*cells[:2], *([below[name], *scores] for name, *scores in cells[2:])]


def test_an_experiment_has_dvcs_name_in_the_table_and_its_changes_below() -> None:
    """A change may be a list of transforms, which no table has room for."""
    long = {"train.loss.dice": str([{"RandomScale": {"scale_limit": [-0.25, 0.5], "p": 1.0}}] * 5)}
    rows = [
        experiment(**{"val.street.unet": 0.4, "Experiment": "urban-sign", **long}),
        experiment(**{"val.street.unet": 0.5, "Experiment": None, "train.lr": 0.001}),
    ]
    page = page_of(*rows)
    table = [line for line in page.splitlines() if line.startswith("|")]
    assert [line.split()[1] for line in table[2:]] == ["2", "urban-sign"] and max(map(len, table)) < 40
    assert "\n- 2: train.lr 0.004 → 0.001\n- urban-sign: train.loss.dice " in page


def test_there_is_one_line_per_experiment_best_first() -> None:
    header, _, *body = lines(
        experiment(**{"val.street.unet": 0.41, "val.street.fcn_8s": 0.4, "train.lr": 0.001}),
        experiment(**{"val.street.unet": 0.42, "val.street.fcn_8s": 0.5, "train.lr": 0.002, "train.loss.dice": 1.0}),
        experiment(**{"val.street.unet": 0.2, "val.street.fcn_8s": 0.1}),
    )
    assert header == ["Experiment", "unet", "fcn_8s", "Mean"]
    assert body == [
        [f"train.lr 0.004 → 0.002, train.loss.dice {MISSING} → 1", "42.0", "50.0", "46.0"],
        ["train.lr 0.004 → 0.001", "41.0", "40.0", "40.5"],
        ["(nothing)", "20.0", "10.0", "15.0"],
    ]


def test_what_all_have_changed_is_said_once() -> None:
    rows = [
        experiment(**{"val.street.unet": 0.4, "train.epochs": 10.0, "train.lr": 0.001}),
        experiment(**{"val.street.unet": 0.5, "train.epochs": 10.0}),
    ]
    page = sweep_markdown([COMMIT, *rows], dataset="street", sections=["train"])
    assert f"\nAll experiments: train.epochs {MISSING} → 10.\n" in page
    assert [line[0] for line in lines(*rows)[2:]] == ["(nothing else)", "train.lr 0.004 → 0.001"]


def test_what_none_has_changed_is_said_if_scores_depend_on_it() -> None:
    given = {"backbone.name": "resnet18", "datasets.street.input.scale": 0.5, "datasets.other.input.scale": 0.25}
    rows = [
        {**experiment(**{"val.street.unet": score, "train.epochs": epochs}), **given}
        for score, epochs in ((0.4, 10), (0.5, 20))
    ]
    page = sweep_markdown([{**COMMIT, "train.epochs": 5, **given}, *rows], dataset="street", sections=["train"])
    assert "\nAll experiments: datasets.street.input.scale 0.5, backbone.name resnet18, train.lr 0.004.\n" in page


def test_what_the_commit_had_already_is_no_result_of_an_experiment() -> None:
    _, _, *body = lines(
        experiment(**{"val.street.unet": 0.5, "train.lr": 0.001}),
        experiment(**{"val.street.fcn_8s": 0.5, "val.street.unet": 0.6, "train.lr": 0.002}),
        experiment(**{"train.lr": 0.008}),  # its score is the commit's
    )
    assert body == [["train.lr 0.004 → 0.002", "60.0", "60.0"], ["train.lr 0.004 → 0.001", "50.0", "50.0"]]


def test_an_experiment_counts_once_it_has_finished() -> None:
    _, _, *body = lines(
        experiment(**{"val.street.unet": 0.5, "val.street.fcn_8s": 0.4, "train.lr": 0.001, "State": None}),
        experiment(**{"val.street.unet": "!", "val.street.fcn_8s": 0.6, "train.lr": 0.002, "State": "Running"}),
    )
    assert body == [["train.lr 0.004 → 0.001", "50.0", "40.0", "45.0"]]


def test_a_metrics_name_may_begin_with_its_file() -> None:
    name = "reports/street/models/unet/validation.json:val.street.unet"
    assert lines(experiment(**{name: 0.7, "train.lr": 0.001}))[2] == ["train.lr 0.004 → 0.001", "70.0", "70.0"]


def page_of(*rows: dict[str, Any]) -> str:
    return sweep_markdown([COMMIT, *rows], dataset="street", sections=["train"])


def test_an_experiment_without_a_change_of_its_own_has_none_beside_the_common_ones() -> None:
    longer = {"train.epochs": 10.0, "val.street.unet": 0.5}
    both = page_of(experiment(**longer), experiment(**{**longer, "train.lr": 0.5, "val.street.unet": 0.4}))
    assert "(nothing else)" in both
    assert "(nothing)" in page_of(experiment(**{"val.street.unet": 0.5}))


def test_one_experiment_is_not_called_all() -> None:
    rows = [{**COMMIT, "train.epochs": 5}, {**experiment(**{"val.street.unet": 0.5}), "train.epochs": 5}]
    page = sweep_markdown(rows, dataset="street", sections=["train"])
    assert "\nThe experiment: train.epochs 5, train.lr 0.004.\n" in page
    page = sweep_markdown([*rows, {**rows[1], "val.street.unet": 0.4}], dataset="street", sections=["train"])
    assert "\nAll experiments: train.epochs 5, train.lr 0.004.\n" in page


def test_models_that_not_all_experiments_trained_are_said_to_be_left_out() -> None:
    both, one = experiment(**{"val.street.unet": 0.5, "val.street.pspnet": 0.5}), experiment(**{"val.street.unet": 0.4})
    assert "\nLeft out, since not every experiment trained them: pspnet.\n" in page_of(both, one)
    assert "Left out" not in page_of(both, both)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([experiment(**{"train.lr": 0.1})], "no experiment trained a model on street"),
        (
            [experiment(**{"val.street.unet": 0.5}), experiment(**{"val.street.fcn_8s": 0.5})],
            "no model was trained on street by all experiments",
        ),
    ],
)
def test_without_results_to_compare_there_is_no_page(rows: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(InputError, match=message):
        lines(*rows)
