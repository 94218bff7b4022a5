"""Scores with intervals, differences and ranks: by hand, against `compute_scores`, and where they degenerate."""

from collections.abc import Mapping

import numpy as np
import pytest

from segbench.scoring.intervals import Difference, Estimate, Interval, Measure, Metric, Pair, analyse
from segbench.scoring.metrics import ClassPixels, Counts, compute_scores
from tests.scoring.population import confusions_of, pixels

MEAN_IOU = Measure("mIoU")


def all_pixels(entries: Mapping[str, Counts]) -> dict[str, ClassPixels]:
    return {name: pixels(counts) for name, counts in entries.items()}


def estimate(counts: Counts, measure: Measure = MEAN_IOU) -> Estimate:
    return analyse({"a": pixels(counts)}, measures=[measure], num_resamples=500).estimates["a", measure]


def compare(first: Counts, second: Counts) -> Difference:
    pair = Pair("first", "second", MEAN_IOU)
    return analyse(all_pixels({"first": first, "second": second}), pairs=[pair], num_resamples=500).differences[pair]


@pytest.mark.parametrize("classes", [None, (0, 2), (1,)])
@pytest.mark.parametrize(
    ("metric", "of_classes"), [("mAcc", "class_accuracy"), ("mIoU", "class_iou"), ("mDice", "class_dice")]
)
def test_a_score_is_that_of_the_whole_split(metric: Metric, of_classes: str, classes: tuple[int, ...] | None) -> None:
    counts = confusions_of(np.random.default_rng(0), accuracy=0.8, num_seeds=2)
    by_seed = [getattr(compute_scores(seed.sum(axis=0)), of_classes) for seed in counts]
    means = [values[list(classes or range(3))].mean() for values in by_seed]
    found = estimate(counts, Measure(metric, classes))
    assert found.score.value == pytest.approx(np.mean(means))
    assert found.seed_spread == pytest.approx(np.std(means, ddof=1))
    assert estimate(counts[:1], Measure(metric, classes)).seed_spread is None


def test_pixel_accuracy_is_one_fraction_of_all_pixels() -> None:
    counts = confusions_of(np.random.default_rng(0), accuracy=0.8)
    counts[:, :, 0] *= 5
    of_split = counts.sum(axis=(0, 1))
    assert estimate(counts, Measure("aAcc")).score.value == compute_scores(of_split).pixel_accuracy
    expected = (of_split[0, 0] + of_split[2, 2]) / of_split[[0, 2]].sum()
    assert estimate(counts, Measure("aAcc", (0, 2))).score.value == pytest.approx(expected)


def test_a_measure_of_no_class_is_refused() -> None:
    with pytest.raises(ValueError, match="^a measure needs at least one class$"):
        Measure("mIoU", ())


def test_differences_are_those_of_the_pairs_scores_in_their_order() -> None:
    rng = np.random.default_rng(0)
    entries = {name: confusions_of(rng, accuracy=accuracy) for name, accuracy in (("a", 0.8), ("b", 0.75), ("c", 0.7))}
    pairs = [Pair("c", "a", MEAN_IOU), Pair("a", "b", Measure("mAcc")), Pair("a", "b", MEAN_IOU)]
    found = analyse(all_pixels(entries), pairs=pairs, num_resamples=500)
    assert list(found.differences) == pairs
    for pair, difference in found.differences.items():
        first, second = (found.estimates[name, pair.measure].score.value for name in (pair.first, pair.second))
        assert difference.alone.value == difference.simultaneous.value == pytest.approx(first - second)
        assert difference.simultaneous.low < difference.alone.low < difference.alone.high < difference.simultaneous.high


def test_seeds_that_agree_have_no_spread_and_the_same_interval() -> None:
    counts = confusions_of(np.random.default_rng(0), accuracy=0.8)
    once, thrice = estimate(counts), estimate(np.repeat(counts, 3, axis=0))
    assert (once.score.low, once.score.high) == pytest.approx((thrice.score.low, thrice.score.high))
    assert thrice.seed_spread == pytest.approx(0)


def test_all_entries_are_compared_by_as_many_trainings_and_the_others_tell_the_variance() -> None:
    rng = np.random.default_rng(0)
    accuracies = {"thrice": (0.7, 0.8, 0.9), "theirs": (0.8,), "another": (0.5,), "twice": (0.75, 0.85)}
    counts = {
        name: np.concatenate([confusions_of(rng, accuracy=accuracy) for accuracy in of_seeds])
        for name, of_seeds in accuracies.items()
    }
    pair = Pair("thrice", "twice", MEAN_IOU)
    found = analyse(all_pixels(counts), pairs=[pair], trainings={"theirs": None, "another": None})
    of_seeds = {
        name: np.array([compute_scores(seed.sum(axis=0)).mean_iou for seed in entry]) for name, entry in counts.items()
    }
    estimates = {name: found.estimates[name, MEAN_IOU] for name in counts}
    for name, num_seeds in (("thrice", 2), ("twice", 2), ("theirs", 1), ("another", 1)):
        assert estimates[name].score.value == pytest.approx(of_seeds[name][:num_seeds].mean())
    assert estimates["thrice"].seed_spread == pytest.approx(of_seeds["thrice"].std(ddof=1))
    ranks = [estimates[name].rank for name in counts]
    assert [rank.value if rank else None for rank in ranks] == [2, None, None, 1], "no single set among means of two"

    variance = (2 * of_seeds["thrice"].var(ddof=1) + of_seeds["twice"].var(ddof=1)) / 3
    share = estimates["thrice"].training_share
    assert share is not None and 0.9 < share < 1
    assert estimates["theirs"].training_share == 0
    half_width = found.differences[pair].alone.high - found.differences[pair].alone.value
    assert half_width > 3 * np.sqrt(2 * variance / 2), "t with 3 degrees of freedom"


def test_trainings_that_a_pair_shares_do_not_widen_its_difference() -> None:
    """A CRF that gains the same on every seed: how far seeds differ does not matter."""
    rng = np.random.default_rng(0)
    plain = np.concatenate([confusions_of(rng, accuracy=accuracy) for accuracy in (0.6, 0.7, 0.8)])
    refined = plain.copy()
    refined[..., 0, 1] -= refined[..., 0, 1] // 4
    refined[..., 0, 0] = 100 - refined[..., 0, 1] - refined[..., 0, 2]
    pair = Pair("refined", "plain", MEAN_IOU)
    counts = all_pixels({"plain": plain, "refined": refined})
    shared = analyse(counts, pairs=[pair], trainings={"plain": "unet", "refined": "unet"}).differences[pair].alone
    apart = analyse(counts, pairs=[pair]).differences[pair].alone
    assert shared.value == apart.value > 0
    assert shared.low > 0 > apart.low
    assert apart.high - apart.low > 5 * (shared.high - shared.low)


def test_two_entries_are_compared_image_by_image() -> None:
    """Images of very different difficulty, on each of which the first is better: no doubt remains."""
    rng = np.random.default_rng(0)
    levels = np.linspace(0.4, 0.98, 8)
    first = np.concatenate([confusions_of(rng, accuracy=level, num_images=5) for level in levels], axis=1)
    second = np.concatenate([confusions_of(rng, accuracy=level - 0.03, num_images=5) for level in levels], axis=1)
    paired, shuffled = compare(first, second), compare(first, rng.permutation(second, axis=1))
    assert paired.alone.low > 0 > shuffled.alone.low
    assert paired.adjusted_p_value < 0.01 < 0.05 < shuffled.adjusted_p_value


def test_ranks_of_models_far_apart_are_certain_and_those_of_twins_are_not() -> None:
    rng = np.random.default_rng(0)
    twin = confusions_of(rng, accuracy=0.8)
    entries = {"twin": twin, "best": confusions_of(rng, accuracy=0.95), "worst": confusions_of(rng, accuracy=0.5)}
    entries["rival"] = rng.permutation(twin, axis=1)
    ranks = {
        name: found.rank for (name, _), found in analyse(all_pixels(entries), measures=[MEAN_IOU]).estimates.items()
    }
    assert ranks["best"] == Interval(1, 1, 1)
    assert ranks["worst"] == Interval(4, 4, 4)
    assert ranks["twin"] == ranks["rival"] == Interval(2, 2, 3)


def test_a_class_without_pixels_is_left_out() -> None:
    counts = confusions_of(np.random.default_rng(0), accuracy=0.9)
    with_absent = np.pad(counts, ((0, 0), (0, 0), (0, 1), (0, 1)))
    assert estimate(with_absent, Measure("mIoU", (0, 1, 2, 3))) == estimate(counts, Measure("mIoU", (0, 1, 2)))


def test_a_class_on_a_single_image_could_have_any_score() -> None:
    """But the mean over all classes keeps its interval."""
    counts = confusions_of(np.random.default_rng(0), accuracy=0.8)
    counts[:, 1:, 2] = 0
    alone, among_all = estimate(counts, Measure("mIoU", (2,))).score, estimate(counts).score
    assert (alone.low, alone.high) == (0, 1)
    assert 0 < among_all.low < among_all.value < among_all.high < 1


def test_a_difference_on_a_single_image_is_no_lead_and_widens_no_other_interval() -> None:
    rng = np.random.default_rng(0)
    entries = {"a": confusions_of(rng, accuracy=0.8), "b": confusions_of(rng, accuracy=0.75)}
    entries["almost a"] = entries["a"].copy()
    entries["almost a"][0, 0] = np.diag([100, 100, 100])
    clear, on_one_image = Pair("a", "b", MEAN_IOU), Pair("almost a", "a", MEAN_IOU)
    apart = analyse(all_pixels(entries), pairs=[clear]).differences[clear].simultaneous
    together = analyse(all_pixels(entries), pairs=[clear, on_one_image]).differences
    widths = [interval.high - interval.low for interval in (apart, together[clear].simultaneous)]
    assert together[on_one_image].alone.low < 0 < together[on_one_image].alone.value
    assert widths[1] < 1.25 * widths[0]


def test_equal_models_have_no_difference() -> None:
    same = confusions_of(np.random.default_rng(0), accuracy=0.8)
    found = compare(same, same.copy())
    assert found.alone == found.simultaneous == Interval(0, 0, 0)
    assert found.adjusted_p_value == 1


def test_one_image_says_nothing_about_others() -> None:
    rng = np.random.default_rng(0)
    first, second = (confusions_of(rng, accuracy=accuracy, num_images=1) for accuracy in (0.9, 0.5))
    found = compare(first, second)
    assert found.alone.value > 0.2
    assert (found.alone.low, found.alone.high, found.adjusted_p_value) == (-1, 1, 1)
    assert (found.simultaneous.low, found.simultaneous.high) == (-1, 1)
    estimates = analyse(
        all_pixels({"first": first, "second": second}), measures=[MEAN_IOU], num_resamples=500
    ).estimates
    scores = [estimate.score for estimate in estimates.values()]
    assert [(score.low, score.high) for score in scores] == [(0, 1), (0, 1)]
    ranks = [estimate.rank for estimate in estimates.values()]
    assert ranks == [Interval(1, 1, 2), Interval(2, 1, 2)], "either may be better on other images"


def test_a_single_class_is_always_right() -> None:
    assert estimate(np.full((1, 30, 1, 1), 100)).score == Interval(1, 1, 1)


def test_without_a_counted_pixel_there_is_no_score() -> None:
    nothing = np.zeros((1, 30, 3, 3), np.int64)
    score = estimate(nothing).score
    assert np.isnan([score.value, score.low, score.high]).all()
    assert compare(nothing, nothing).adjusted_p_value == 1


def test_a_model_without_a_score_is_ranked_last() -> None:
    """Class 2 is never true: the first never predicts it, so that it has no IoU; the second does."""
    first = confusions_of(np.random.default_rng(0), accuracy=0.8)
    first[:, :, 2], first[:, :, :, 2] = 0, 0
    second = first.copy()
    second[:, :, 0, 2], second[:, :, 0, 0] = second[:, :, 0, 0], 0
    measure = Measure("mIoU", (2,))
    found = analyse(all_pixels({"none": first, "zero": second}), measures=[measure]).estimates
    ranks = [found[name, measure].rank for name in ("none", "zero")]
    assert [rank.value for rank in ranks if rank] == [2, 1]


def test_a_seed_gives_the_same_analysis_again() -> None:
    entries = {"a": confusions_of(np.random.default_rng(0), accuracy=0.8)}
    once, again, other = (analyse(all_pixels(entries), measures=[MEAN_IOU], seed=seed) for seed in (1, 1, 2))
    assert once == again != other
