"""Which model is chosen for use: by validation scores alone, within the budgets."""

from dataclasses import replace

import pandas as pd
import pytest

from segbench import params
from segbench.report.table.champion import candidates_of, champion_content, champion_of, describe_champion
from segbench.report.table.results import ModelResults
from tests.report.sample_results import a_model

FREE = params.Champion(score="mean_iou", most_latency_ms=None, most_memory_mib=None)
CRF_MS = 30.0


def a_candidate(
    name: str, curves: dict[int, list[float]], *, latency_ms: float = 10, memory_mib: float = 100, crf: bool = False,
    checkpoint: str = "last",
) -> ModelResults:  # fmt: skip
    """curves: mIoU on the validation images after each epoch, by seed."""
    rows = [
        {"seed": seed, "epoch": 2 * epoch, "val_mean_iou": score, "val_pixel_accuracy": 1 - score}
        for seed, curve in curves.items()
        for epoch, score in enumerate(curve, start=1)
    ]
    not_validated = [{"seed": seed, "epoch": 1} for seed in curves]
    model = a_model(name, seeds=tuple(curves), train={"checkpoint": checkpoint})
    return replace(
        model, epochs=pd.DataFrame([*not_validated, *rows]), latency={"latency_ms": latency_ms},
        prediction={"peak_memory_mib": memory_mib},
        crf={"chosen": {"steps": 5} if crf else None, "latency_ms": CRF_MS if crf else 0, "objective": "mean_dice"},
    )  # fmt: skip


def names(models: list[ModelResults], rule: params.Champion) -> tuple[str | None, list[str]]:
    candidates = candidates_of(models, rule)
    champion = champion_of(candidates)
    return champion.model if champion else None, [candidate.model for candidate in candidates]


def test_the_best_mean_over_seeds_is_chosen_with_its_best_seed() -> None:
    even = a_candidate("even", {0: [0.2, 0.6], 1: [0.9, 0.7]})
    uneven = a_candidate("uneven", {0: [0.8, 0.9], 3: [0.1, 0.2]})
    assert names([uneven, even], FREE) == ("even", ["even", "uneven"])
    chosen = champion_of(candidates_of([uneven, even], FREE))
    assert chosen is not None and chosen.seed == 1 and chosen.score == pytest.approx(0.65)


def test_the_kept_weights_are_judged() -> None:
    last, best = (a_candidate(name, {0: [0.9, 0.5]}, checkpoint=name) for name in ("last", "best"))
    assert [candidate.score for candidate in candidates_of([last, best], FREE)] == [0.9, 0.5]
    by_accuracy = params.Champion(score="pixel_accuracy", most_latency_ms=None, most_memory_mib=None)
    assert {each.model: each.score for each in candidates_of([last, best], by_accuracy)} == pytest.approx(
        {"last": 0.5, "best": 0.1}
    ), "of the epoch whose mIoU was best"


def test_a_model_that_is_never_validated_is_no_candidate() -> None:
    assert names([a_model("clusters", epochs=0), a_candidate("unet", {0: [0.1]})], FREE) == ("unet", ["unet"])
    assert names([a_model("clusters", epochs=0)], FREE) == (None, [])


def test_budgets_leave_out_what_is_slow_or_large() -> None:
    models = [
        a_candidate("slow", {0: [0.9]}, latency_ms=50),
        a_candidate("large", {0: [0.8]}, memory_mib=900),
        a_candidate("fits", {0: [0.7]}, latency_ms=20),
        a_candidate("worse", {0: [0.6]}),
    ]
    assert names(models, FREE)[0] == "slow"
    assert names(models, FREE.model_copy(update={"most_latency_ms": 20}))[0] == "large"
    both = {"most_latency_ms": 20, "most_memory_mib": 500}
    assert names(models, FREE.model_copy(update=both))[0] == "fits"
    assert names(models, FREE.model_copy(update={"most_latency_ms": 1}))[0] is None


def test_a_crf_is_left_out_where_it_breaks_the_budget() -> None:
    refined = a_candidate("refined", {0: [0.9]}, crf=True)
    for most, crf, latency_ms in ((None, True, 40), (40, True, 40), (39, False, 10), (9, True, 40)):
        (candidate,) = candidates_of([refined], FREE.model_copy(update={"most_latency_ms": most}))
        assert (candidate.crf, candidate.latency_ms) == (crf, latency_ms), most
        assert candidate.keeps_budget == (most != 9)


def test_the_sentence_names_model_rule_and_address() -> None:
    refined = [a_candidate("unet", {0: [0.871]}, crf=True)]
    assert describe_champion(refined, FREE, dataset="streets") == (
        "Champion: unet. It has the highest mIoU on the validation images, 87.1\N{NO-BREAK SPACE}% before any CRF. "
        "Its CRF goes with it: on validation images, the CRF raises mDice. Scores on test images did not count in "
        "the choice. To use it: `segbench predict models:/segbench-streets@champion photos/ --out labelled`"
    )
    assert "CRF" not in describe_champion([a_candidate("unet", {0: [0.871]})], FREE, dataset="streets")
    tight = params.Champion(score="mean_iou", most_latency_ms=5, most_memory_mib=200)
    assert describe_champion(refined, tight, dataset="s") == (
        "No champion: no model keeps to at most 5 ms per image and at most 200 MiB of memory, as params.yaml asks."
    )
    assert describe_champion([], FREE, dataset="s") == ""


def test_the_command_leaves_the_crf_out_where_it_breaks_the_budget() -> None:
    refined = [a_candidate("unet", {0: [0.871]}, crf=True)]
    tight = params.Champion(score="mean_iou", most_latency_ms=15, most_memory_mib=200)
    told = describe_champion(refined, tight, dataset="s")
    assert told.startswith("Champion: unet. ") and told.endswith("@champion photos/ --out labelled --no-crf`")
    assert "among the models that need at most 15 ms per image and at most 200 MiB of memory" in told
    assert " It keeps to at most 15 ms per image and at most 200 MiB of memory only without its CRF. " in told
    assert "--no-crf" not in describe_champion(refined, FREE, dataset="s")


def test_the_file_has_rule_champion_and_candidates() -> None:
    content = champion_content([a_candidate("unet", {0: [0.5]}), a_candidate("fcn", {4: [0.6]})], FREE)
    assert content["rule"] == {"score": "mean_iou", "most_latency_ms": None, "most_memory_mib": None}
    assert (content["champion"]["model"], content["champion"]["seed"]) == ("fcn", 4)
    assert [each["model"] for each in content["candidates"]] == ["fcn", "unet"]
    assert champion_content([], FREE)["champion"] is None
