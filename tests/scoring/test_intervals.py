"""Intervals, differences and ranks: against slow ways, for populations that are known, and where they degenerate."""

from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pytest

from segbench.errors import InputError
from segbench.scoring import metrics
from segbench.scoring.intervals import (
    TRUSTED_BLOCKS,
    Difference,
    Estimate,
    Interval,
    Measure,
    Metric,
    Pair,
    analyse,
    error_ratios,
)

ALL = Measure("mIoU")


def confusions(
    rng: np.random.Generator, *, accuracy: float, num_seeds: int = 1, num_images: int = 40
) -> metrics.Counts:
    """(num_seeds, num_images, 3, 3): about that share of each class's 100 pixels is right."""
    wrong = (1 - accuracy) / 2
    shares = np.full((3, 3), wrong) + np.eye(3) * (accuracy - wrong)
    return rng.multinomial(100, shares, (num_seeds, num_images, 3))


def estimate(counts: metrics.Counts, score: Measure = ALL) -> Estimate:
    return analyse({"a": counts}, scores=[score], num_resamples=500).estimates["a", score]


def compare(first: metrics.Counts, second: metrics.Counts, score: Measure = ALL) -> Difference:
    entries = {"first": first, "second": second}
    pair = Pair("first", "second", score)
    return analyse(entries, pairs=[pair], num_resamples=500).differences[pair]


@pytest.mark.parametrize("classes", [None, (0, 2), (1,)])
@pytest.mark.parametrize(
    ("metric", "of_classes"), [("mAcc", "class_accuracy"), ("mIoU", "class_iou"), ("mDice", "class_dice")]
)
def test_a_score_is_that_of_the_whole_split(metric: Metric, of_classes: str, classes: tuple[int, ...] | None) -> None:
    counts = confusions(np.random.default_rng(0), accuracy=0.8, num_seeds=2)
    by_seed = [getattr(metrics.compute_scores(seed.sum(axis=0)), of_classes) for seed in counts]
    means = [values[list(classes or range(3))].mean() for values in by_seed]
    found = estimate(counts, Measure(metric, classes))
    assert found.score.value == pytest.approx(np.mean(means))
    assert found.seed_spread == pytest.approx(np.std(means, ddof=1))
    assert estimate(counts[:1], Measure(metric, classes)).seed_spread is None


def test_pixel_accuracy_is_one_fraction_of_all_pixels() -> None:
    counts = confusions(np.random.default_rng(0), accuracy=0.8)
    counts[:, :, 0] *= 5
    assert (
        estimate(counts, Measure("aAcc")).score.value == metrics.compute_scores(counts.sum(axis=(0, 1))).pixel_accuracy
    )
    of_two = counts.sum(axis=(0, 1))[[0, 2]]
    expected = (of_two[0, 0] + of_two[1, 2]) / of_two.sum()
    assert estimate(counts, Measure("aAcc", (0, 2))).score.value == pytest.approx(expected)


@dataclass(frozen=True)
class Population:
    """Images whose difficulty, sizes and errors vary, and resemble each other within a block.

    Six classes, from one on every image to one on few; a model errs by the image, which all models share, and by
    itself.
    """

    images_per_block: int = 1

    presence = np.array([1, 1, 0.8, 0.5, 0.3, 0.15])
    size = np.array([4, 3, 1, 0.5, 0.3, 0.1])
    skill = np.array([3, 2.5, 1.5, 1, 0.5, 0])
    correlation = 0.6

    def sample(self, rng: np.random.Generator, num_blocks: int, num_models: int = 1) -> metrics.Counts:
        """(num_models, num_blocks * images_per_block, 6, 6)"""
        num_images = num_blocks * self.images_per_block

        def normal(*shape: int) -> metrics.Fractions:
            of_block = rng.standard_normal((num_blocks, *shape)).repeat(self.images_per_block, axis=0)
            of_image = rng.standard_normal((num_images, *shape))
            return np.sqrt(self.correlation) * of_block + np.sqrt(1 - self.correlation) * of_image

        present = (rng.random((num_blocks, 6)) < self.presence).repeat(self.images_per_block, axis=0)
        sizes = present * self.size * np.exp(0.8 * normal(6))
        pixels = np.round(10_000 * sizes / sizes.sum(axis=1, keepdims=True))
        difficulty = 0.8 * normal(1) + 0.5 * normal(6)
        counts = np.empty((num_models, num_images, 6, 6), np.int64)
        for model in counts:
            right = np.round(pixels / (1 + np.exp(-self.skill - difficulty - 0.5 * normal(6))))
            taken_for = np.sqrt(self.size) * np.exp(0.5 * normal(6))
            shares = np.where(np.eye(6), 0, taken_for[:, np.newaxis])
            model[:] = (pixels - right)[:, :, np.newaxis] * shares / shares.sum(axis=2, keepdims=True)
            lost = pixels - right - model.sum(axis=2)
            model += (np.eye(6) * (right + lost)[:, :, np.newaxis]).astype(np.int64)
        return counts


def slow_intervals(first: metrics.Counts, second: metrics.Counts, blocks: list[str]) -> dict[str, tuple[float, float]]:
    """The intervals of the first's mean IoU and of its lead, with every resample scored by `metrics.scores`.

    (num_images, C, C) counts. Influences are by what a hundredth of a per cent more of a block does to the score.
    """
    rng, ids = np.random.default_rng(1), np.unique(blocks)
    sums = [np.array([counts[np.array(blocks) == i].sum(axis=0) for i in ids]) for counts in (first, second)]

    def measured(weights: metrics.Fractions) -> metrics.Fractions:
        one, other = (metrics.compute_scores(np.tensordot(weights, counts, axes=1)).mean_iou for counts in sums)
        return np.array([one, one - other])

    value, step = measured(np.ones(len(ids))), 1e-4
    influences = np.array([(measured(1 + step * one) - value) / step for one in np.eye(len(ids))])
    errors = np.sqrt((influences**2).sum(axis=0))
    deviations = []
    for _ in range(2000):
        drawn = rng.integers(len(ids), size=len(ids))
        spread = np.sqrt(len(ids) * influences[drawn].var(axis=0))
        deviations.append(
            abs(measured(np.bincount(drawn, minlength=len(ids)).astype(float)) - value) / np.maximum(spread, errors / 2)
        )
    margins = np.quantile(deviations, 0.95, axis=0) * errors
    return {name: (value[i] - margins[i], value[i] + margins[i]) for i, name in enumerate(("score", "lead"))}


@pytest.mark.parametrize("block_size", [1, 4])
def test_intervals_are_those_of_resampled_blocks(block_size: int) -> None:
    first, second = Population(4).sample(np.random.default_rng(0), 20, 2)
    blocks = [f"clip {index // block_size}" for index in range(80)]
    entries = {"first": first[np.newaxis], "second": second[np.newaxis]}
    pair = Pair("first", "second", ALL)
    found = analyse(entries, pairs=[pair], blocks=blocks)
    of_score, of_lead = found.estimates["first", ALL].score, found.differences[pair].alone
    for interval, (low, high) in zip((of_score, of_lead), slow_intervals(first, second, blocks).values(), strict=True):
        assert interval.low == pytest.approx(low, abs=0.05 * (high - low))
        assert interval.high == pytest.approx(high, abs=0.05 * (high - low))


def test_blocks_of_like_images_widen_the_interval() -> None:
    counts = np.repeat(Population().sample(np.random.default_rng(0), 20), 5, axis=1)
    rng, order = np.random.default_rng(0), np.arange(100)
    rng.shuffle(order)
    blocks = (np.arange(100) // 5)[order].tolist()
    entries = {"a": counts[:, order]}
    by_image = analyse(entries, scores=[ALL]).estimates["a", ALL]
    by_block = analyse(entries, scores=[ALL], blocks=blocks).estimates["a", ALL]
    of_twenty = analyse({"a": counts[:, ::5]}, scores=[ALL]).estimates["a", ALL]
    assert by_block.score.high - by_block.score.low > 1.8 * (by_image.score.high - by_image.score.low)
    assert by_block.score.low == pytest.approx(of_twenty.score.low, abs=0.005)
    assert by_block.score.high == pytest.approx(of_twenty.score.high, abs=0.005)
    assert (by_block.num_blocks, by_image.num_blocks) == (20, 100)


def test_errors_grow_by_joining_blocks_that_err_alike_alone() -> None:
    once = Population().sample(np.random.default_rng(0), num_blocks=200)
    pairs = [index // 2 for index in range(400)]
    twice = {"a": once.repeat(2, axis=1)}
    ratio = error_ratios(twice, ALL, blocks=range(400), joined=pairs)
    assert ratio == pytest.approx(np.sqrt(2 * (200 / 199) / (400 / 399)))
    others = {"a": Population().sample(np.random.default_rng(1), num_blocks=400)}
    assert error_ratios(others, ALL, blocks=range(400), joined=pairs) == pytest.approx(1, abs=0.1)


def test_seeds_are_averaged_and_do_not_narrow_what_other_images_would_change() -> None:
    counts = Population().sample(np.random.default_rng(0), 60)
    once, thrice = estimate(counts), estimate(np.repeat(counts, 3, axis=0))
    assert (once.score.low, once.score.high) == pytest.approx((thrice.score.low, thrice.score.high))
    assert thrice.seed_spread == pytest.approx(0)


def test_the_same_images_go_to_both() -> None:
    """Images of very different difficulty, on each of which the first is better: no doubt remains."""
    rng = np.random.default_rng(0)
    levels = np.linspace(0.4, 0.98, 8)
    first = np.concatenate([confusions(rng, accuracy=level, num_images=5) for level in levels], axis=1)
    second = np.concatenate([confusions(rng, accuracy=level - 0.03, num_images=5) for level in levels], axis=1)
    paired, shuffled = compare(first, second), compare(first, rng.permutation(second, axis=1))
    assert paired.alone.low > 0 > shuffled.alone.low
    assert paired.p_value < 0.01 < 0.05 < shuffled.p_value


@pytest.mark.parametrize(("num_blocks", "images_per_block"), [(60, 1), (100, 1), (60, 5), (TRUSTED_BLOCKS, 5)])
def test_intervals_cover_the_populations_scores_95_times_in_100(num_blocks: int, images_per_block: int) -> None:
    population, rng = Population(images_per_block), np.random.default_rng(0)
    everything = sum(population.sample(rng, 5_000).sum(axis=(0, 1)) for _ in range(8))
    truth = metrics.compute_scores(everything)
    expected = {
        Measure("aAcc"): truth.pixel_accuracy,
        Measure("mAcc"): truth.mean_accuracy,
        Measure("mIoU"): truth.mean_iou,
        Measure("mDice"): truth.mean_dice,
    }
    blocks = np.arange(num_blocks).repeat(images_per_block).tolist()
    covered, num_samples = dict.fromkeys(expected, 0), 1500
    for _ in range(num_samples):
        entries = {"a": population.sample(rng, num_blocks)}  # of one seed
        found = analyse(entries, scores=list(expected), blocks=blocks, num_resamples=999).estimates
        for score, value in expected.items():
            covered[score] += found["a", score].score.low <= value <= found["a", score].score.high
    shares = {score.metric: count / num_samples for score, count in covered.items()}
    assert all(0.93 <= share <= 0.97 for share in shares.values()), shares


@pytest.mark.parametrize("num_blocks", [60, 100])
def test_of_all_pairs_of_equal_models_one_in_20_samples_has_a_false_lead(num_blocks: int) -> None:
    """Under the complete null hypothesis; and Bonferroni, which takes pairs for unlike, finds fewer."""
    population, rng = Population(), np.random.default_rng(0)
    names, num_samples = "abcdef", 1000
    pairs = [Pair(first, second, ALL) for first, second in combinations(names, 2)]
    corrected = bonferroni = uncorrected = 0
    for _ in range(num_samples):
        entries = {
            name: counts[np.newaxis] for name, counts in zip(names, population.sample(rng, num_blocks, 6), strict=True)
        }
        found = analyse(entries, pairs=pairs, num_resamples=999).differences.values()
        corrected += any(pair.adjusted_p_value <= 0.05 for pair in found)
        bonferroni += any(len(pairs) * pair.p_value <= 0.05 for pair in found)
        uncorrected += any(pair.p_value <= 0.05 for pair in found)
    assert 0.03 <= corrected / num_samples <= 0.07
    assert bonferroni < corrected < uncorrected / 3


def test_intervals_and_p_values_agree_and_the_corrected_ones_are_never_the_surer() -> None:
    population, rng = Population(), np.random.default_rng(0)
    names = "abcdefgh"
    pairs = [Pair(first, second, score) for first, second in combinations(names, 2) for score in (ALL, Measure("mAcc"))]
    sample = population.sample(rng, 60, len(names))
    mended = sample[0] // 4 * (1 - np.eye(6, dtype=np.int64))  # the first model errs less
    sample[0] += np.eye(6, dtype=np.int64) * mended.sum(axis=2)[:, :, np.newaxis] - mended
    found = analyse({name: counts[np.newaxis] for name, counts in zip(names, sample, strict=True)}, pairs=pairs)
    assert list(found.differences) == pairs
    for pair, one in found.differences.items():
        first, second = (found.estimates[name, pair.score].score.value for name in (pair.first, pair.second))
        assert one.alone.value == one.simultaneous.value == pytest.approx(first - second)
        assert one.simultaneous.low < one.alone.low < one.alone.high < one.simultaneous.high
        assert one.p_value <= one.adjusted_p_value
        for interval, p_value in ((one.alone, one.p_value), (one.simultaneous, one.adjusted_p_value)):
            assert abs(p_value - 0.05) < 1e-3 or (interval.low <= 0 <= interval.high) == (p_value > 0.05)
    assert any(one.p_value <= 0.05 for one in found.differences.values())


def test_ranks_of_models_far_apart_are_sure_and_those_of_twins_are_not() -> None:
    rng = np.random.default_rng(0)
    twin = confusions(rng, accuracy=0.8)
    entries = {"twin": twin, "best": confusions(rng, accuracy=0.95), "worst": confusions(rng, accuracy=0.5)}
    entries["rival"] = rng.permutation(twin, axis=1)
    ranks = {name: found.rank for (name, _), found in analyse(entries, scores=[ALL]).estimates.items()}
    assert ranks["best"] == Interval(1, 1, 1)
    assert ranks["worst"] == Interval(4, 4, 4)
    assert ranks["twin"] == ranks["rival"] == Interval(2, 2, 3)


def test_a_class_without_pixels_is_left_out() -> None:
    counts = confusions(np.random.default_rng(0), accuracy=0.9)
    with_absent = np.pad(counts, ((0, 0), (0, 0), (0, 1), (0, 1)))
    assert estimate(with_absent, Measure("mIoU", (0, 1, 2, 3))) == estimate(counts, Measure("mIoU", (0, 1, 2)))


def test_a_class_on_a_single_image_is_known_by_no_interval() -> None:
    """But the mean over all classes keeps one."""
    counts = confusions(np.random.default_rng(0), accuracy=0.8)
    counts[:, 1:, 2] = 0
    alone, among_all = estimate(counts, Measure("mIoU", (2,))), estimate(counts)
    assert (alone.score.low, alone.score.high, alone.num_blocks) == (0, 1, 1)
    assert 0 < among_all.score.low < among_all.score.value < among_all.score.high < 1
    assert among_all.num_blocks == 40


def test_a_difference_on_a_single_image_is_no_lead_and_costs_the_others_nothing() -> None:
    rng = np.random.default_rng(0)
    entries = {"a": confusions(rng, accuracy=0.8), "b": confusions(rng, accuracy=0.75)}
    entries["almost a"] = entries["a"].copy()
    entries["almost a"][0, 0] = np.diag([100, 100, 100])
    clear, on_one_image = Pair("a", "b", ALL), Pair("almost a", "a", ALL)
    apart = analyse(entries, pairs=[clear]).differences[clear].simultaneous
    together = analyse(entries, pairs=[clear, on_one_image]).differences
    widths = [interval.high - interval.low for interval in (apart, together[clear].simultaneous)]
    assert together[on_one_image].alone.low < 0 < together[on_one_image].alone.value
    assert widths[1] < 1.25 * widths[0]


def test_equal_models_differ_by_nothing() -> None:
    same = confusions(np.random.default_rng(0), accuracy=0.8)
    found = compare(same, same.copy())
    assert found.alone == found.simultaneous == Interval(0, 0, 0)
    assert found.p_value == found.adjusted_p_value == 1


def test_one_image_tells_nothing_of_others() -> None:
    rng = np.random.default_rng(0)
    first, second = (confusions(rng, accuracy=accuracy, num_images=1) for accuracy in (0.9, 0.5))
    found = compare(first, second)
    assert found.alone.value > 0.2
    assert (found.alone.low, found.alone.high, found.p_value, found.adjusted_p_value) == (-1, 1, 1, 1)
    assert (estimate(first).score.low, estimate(first).score.high) == (0, 1)


def test_one_class_is_always_right() -> None:
    assert estimate(np.full((1, 30, 1, 1), 100)).score == Interval(1, 1, 1)


def test_without_a_counted_pixel_there_is_no_score() -> None:
    nothing = np.zeros((1, 30, 3, 3), np.int64)
    found = estimate(nothing)
    assert np.isnan([found.score.value, found.score.low, found.score.high]).all()
    assert found.num_blocks == 0
    assert compare(nothing, nothing).p_value == 1


def test_a_model_that_has_no_score_is_ranked_last() -> None:
    """Class 2 is never true: the first never predicts it, so that it has no IoU; the second does."""
    first = confusions(np.random.default_rng(0), accuracy=0.8)
    first[:, :, 2], first[:, :, :, 2] = 0, 0
    second = first.copy()
    second[:, :, 0, 2], second[:, :, 0, 0] = second[:, :, 0, 0], 0
    score = Measure("mIoU", (2,))
    found = analyse({"none": first, "zero": second}, scores=[score]).estimates
    assert (found["none", score].rank.value, found["zero", score].rank.value) == (2, 1)


def test_a_seed_gives_the_same_analysis_again() -> None:
    entries = {"a": confusions(np.random.default_rng(0), accuracy=0.8)}
    once, again, other = (analyse(entries, scores=[ALL], seed=seed) for seed in (1, 1, 2))
    assert once == again != other


def test_chunks_of_resamples_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    entries = {"a": confusions(np.random.default_rng(0), accuracy=0.8)}
    whole = analyse(entries, scores=[ALL])
    monkeypatch.setattr("segbench.statistics.CHUNK_NUMBERS", 10_000)
    assert analyse(entries, scores=[ALL]).estimates["a", ALL].score == pytest.approx(whole.estimates["a", ALL].score)


def test_entries_of_other_images_are_refused() -> None:
    rng = np.random.default_rng(0)
    entries = {"a": Population().sample(rng, 20), "b": Population().sample(rng, 20)}
    with pytest.raises(InputError, match="^b is not scored on the same true pixels as a, image by image$"):
        analyse(entries, scores=[ALL])
    with pytest.raises(InputError, match="^b is not scored on the same true pixels as a, image by image$"):
        analyse({"a": entries["a"], "b": entries["a"][:, :19]}, scores=[ALL])
    with pytest.raises(InputError, match="^there are 2 block ids; there must be one for each of 20 images$"):
        analyse({"a": entries["a"]}, scores=[ALL], blocks=[0, 1])


def test_a_score_of_no_class_is_refused() -> None:
    with pytest.raises(ValueError, match="^a score needs at least one class$"):
        Measure("mIoU", ())
