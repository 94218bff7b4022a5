"""The bootstrap against a slow one, and on samples of a population whose true scores are known."""

from itertools import combinations

import numpy as np
import pytest
from scipy import special

from segbench.errors import InputError
from segbench.scoring.bootstrap import BlockSample, Bootstrapped, Studentised, bootstrap
from segbench.scoring.intervals import Pair, analyse, error_ratios
from segbench.scoring.measures import Measure
from segbench.scoring.metrics import Counts, Fractions, compute_scores
from tests.scoring.population import Population, confusions_of, pixels

MEAN_IOU = Measure("mIoU")


def mean_iou_of(counts: Counts, blocks: list[int] | None = None, *, num_resamples: int = 10_000) -> tuple[float, float]:
    """Mean IoU of one entry and half the width of its interval."""
    sample = BlockSample.of({"a": pixels(counts)}, blocks)
    found = bootstrap(sample, [MEAN_IOU], [], num_resamples=num_resamples).of_scores
    return float(found.value[0]), float(found.margins()[0])


def slow_intervals(first: Counts, second: Counts, blocks: list[str]) -> list[tuple[float, float]]:
    """The intervals of the first's mean IoU and of its lead, with every resample scored by `compute_scores`.

    first, second: (num_images, C, C) counts. A block's influence is the change of the score per weight when the block
    gets 1e-4 more of it.
    """
    rng, ids = np.random.default_rng(1), np.unique(blocks)
    sums = [np.array([counts[np.array(blocks) == i].sum(axis=0) for i in ids]) for counts in (first, second)]

    def score_and_lead(weights: Fractions) -> Fractions:
        of_first, of_second = (compute_scores(np.tensordot(weights, counts, axes=1)).mean_iou for counts in sums)
        return np.array([of_first, of_first - of_second])

    value, step = score_and_lead(np.ones(len(ids))), 1e-4
    influences = np.array([(score_and_lead(1 + step * block) - value) / step for block in np.eye(len(ids))])
    errors = np.sqrt((influences**2).sum(axis=0))
    abs_t = []
    for _ in range(2000):
        drawn = rng.integers(len(ids), size=len(ids))
        resampled_errors = np.maximum(np.sqrt(len(ids) * influences[drawn].var(axis=0)), errors / 2)
        resampled = score_and_lead(np.bincount(drawn, minlength=len(ids)).astype(float))
        abs_t.append(abs(resampled - value) / resampled_errors)
    margins = np.quantile(abs_t, 0.95, axis=0) * errors
    return list(zip(value - margins, value + margins, strict=True))


@pytest.mark.parametrize("block_size", [1, 4])
def test_intervals_are_those_of_a_slow_bootstrap(block_size: int) -> None:
    first, second = Population(4).sample(np.random.default_rng(0), 20, 2)
    blocks = [f"clip {index // block_size}" for index in range(80)]
    entries = {"first": pixels(first[np.newaxis]), "second": pixels(second[np.newaxis])}
    pair = Pair("first", "second", MEAN_IOU)
    found = analyse(entries, pairs=[pair], blocks=blocks)
    score, lead = found.estimates["first", MEAN_IOU].score, found.differences[pair].alone
    for interval, (low, high) in zip((score, lead), slow_intervals(first, second, blocks), strict=True):
        assert interval.low == pytest.approx(low, abs=0.05 * (high - low))
        assert interval.high == pytest.approx(high, abs=0.05 * (high - low))


def test_blocks_of_like_images_widen_the_interval() -> None:
    counts = np.repeat(Population().sample(np.random.default_rng(0), 20), 5, axis=1)
    order = np.arange(100)
    np.random.default_rng(0).shuffle(order)
    blocks = (np.arange(100) // 5)[order].tolist()
    value_by_image, by_image = mean_iou_of(counts[:, order])
    value_by_block, by_block = mean_iou_of(counts[:, order], blocks)
    value_of_twenty, of_twenty = mean_iou_of(counts[:, ::5])
    assert value_by_image == pytest.approx(value_by_block) == value_of_twenty
    assert by_block > 1.8 * by_image
    assert by_block == pytest.approx(of_twenty, abs=0.005)


def test_blocks_are_counted_by_the_commonest_class() -> None:
    counts = confusions_of(np.random.default_rng(0), accuracy=0.8)
    counts[:, 1:, 2], counts[:, 30:, 1] = 0, 0
    by_image = BlockSample.of({"a": pixels(counts)})
    by_block = BlockSample.of({"a": pixels(counts)}, [index // 5 for index in range(40)])
    assert (by_image.num_blocks, by_block.num_blocks) == (40, 8)
    for measure, of_images, of_blocks in (
        (MEAN_IOU, 40, 8),
        (Measure("mIoU", (1, 2)), 30, 6),
        (Measure("mIoU", (2,)), 1, 1),
        (Measure("aAcc", (1, 2)), 30, 6),
    ):
        assert (by_image.blocks_with(measure), by_block.blocks_with(measure)) == (of_images, of_blocks)
    assert BlockSample.of({"a": pixels(0 * counts)}).blocks_with(MEAN_IOU) == 0


def test_errors_grow_only_by_joining_blocks_that_err_alike() -> None:
    once = Population().sample(np.random.default_rng(0), num_blocks=200)
    pairs = [index // 2 for index in range(400)]
    twice = {"a": pixels(once.repeat(2, axis=1))}
    ratio = error_ratios(twice, MEAN_IOU, blocks=range(400), joined=pairs)
    assert ratio == pytest.approx(np.sqrt(2 * (200 / 199) / (400 / 399)))
    others = {"a": pixels(Population().sample(np.random.default_rng(1), num_blocks=400))}
    assert error_ratios(others, MEAN_IOU, blocks=range(400), joined=pairs) == pytest.approx(1, abs=0.1)


def test_repeated_seeds_do_not_narrow_the_interval() -> None:
    """It is about other test images; seeds that agree say nothing of these."""
    counts = Population().sample(np.random.default_rng(0), 60)
    assert mean_iou_of(counts) == pytest.approx(mean_iou_of(np.repeat(counts, 3, axis=0)))


def test_a_class_that_is_never_found_has_an_interval_of_zero_width() -> None:
    counts = confusions_of(np.random.default_rng(0), accuracy=0.8)
    counts[..., 0] += counts[..., 2]
    counts[..., 2] = 0
    found = bootstrap(BlockSample.of({"a": pixels(counts)}), [Measure("mIoU", (2,))], [], num_resamples=100).of_scores
    assert found.value[0] == found.error[0] == found.margins()[0] == 0


@pytest.mark.parametrize(("num_blocks", "images_per_block"), [(60, 1), (100, 1), (60, 5), (30, 5)])
def test_intervals_cover_the_populations_scores_95_times_in_100(num_blocks: int, images_per_block: int) -> None:
    population, rng = Population(images_per_block), np.random.default_rng(0)
    everything = sum(population.sample(rng, 5_000).sum(axis=(0, 1)) for _ in range(8))
    scores = compute_scores(everything)
    truth = np.array([scores.pixel_accuracy, scores.mean_accuracy, scores.mean_iou, scores.mean_dice])
    measures = [Measure("aAcc"), Measure("mAcc"), Measure("mIoU"), Measure("mDice")]
    blocks = np.arange(num_blocks).repeat(images_per_block).tolist()
    num_covered, num_samples = np.zeros(len(measures)), 1500
    for _ in range(num_samples):
        sample = BlockSample.of({"a": pixels(population.sample(rng, num_blocks))}, blocks)
        found = bootstrap(sample, measures, [], num_resamples=999).of_scores
        num_covered += np.abs(found.value - truth) <= found.margins()
    shares = num_covered / num_samples
    assert ((shares >= 0.93) & (shares <= 0.97)).all(), shares


@pytest.mark.parametrize(("num_models", "num_blocks"), [(4, 60), (4, 8), (11, 30)])
def test_intervals_cover_the_score_of_other_images_and_other_trainings(num_models: int, num_blocks: int) -> None:
    """Models trained three times, whose seeds make as much of a difference as 60 images do."""
    population, rng, of_seeds, num_seeds = Population(), np.random.default_rng(0), 0.25, 3
    skills = of_seeds * special.ndtri((np.arange(40) + 0.5) / 40)
    of_skills = [population.sample(rng, 4_000, extra_skill=[skill]).sum(axis=(0, 1)) for skill in skills]
    truth = np.mean([compute_scores(confusion).mean_iou for confusion in of_skills])
    pairs = [(0, first, second) for first, second in combinations(range(num_models), 2)]
    covered = covered_by_images = false_leads = 0
    num_samples = 3000 // num_models
    for _ in range(num_samples):
        extra_skill = of_seeds * rng.standard_normal(num_models * num_seeds)
        runs = population.sample(rng, num_blocks, len(extra_skill), extra_skill=extra_skill.tolist())
        counts = {str(model): pixels(of_model) for model, of_model in enumerate(np.split(runs, num_models))}
        found = bootstrap(BlockSample.of(counts), [MEAN_IOU], pairs, num_resamples=499)
        scores = found.of_scores
        missed_by, margins = np.abs(scores.value - truth), scores.margins()
        covered += (missed_by <= margins).sum()
        covered_by_images += (missed_by <= margins * np.sqrt(1 - scores.training_share)).sum()
        false_leads += found.of_differences.adjusted_p_values().min() <= 0.05
    assert 0.93 <= covered / (num_models * num_samples) <= 0.97
    assert covered_by_images / (num_models * num_samples) < 0.9
    assert 0.02 <= false_leads / num_samples <= 0.07


@pytest.mark.parametrize("num_blocks", [60, 100])
def test_of_all_pairs_of_equal_models_one_in_20_samples_has_a_false_lead(num_blocks: int) -> None:
    """Under the complete null hypothesis. Bonferroni's correction, which ignores that pairs are alike, finds fewer."""
    population, rng = Population(), np.random.default_rng(0)
    pairs = [(0, first, second) for first, second in combinations(range(6), 2)]
    corrected = bonferroni = uncorrected = 0
    num_samples = 1000
    for _ in range(num_samples):
        sample = population.sample(rng, num_blocks, 6)
        entries = {str(model): pixels(counts[np.newaxis]) for model, counts in enumerate(sample)}
        found = bootstrap(BlockSample.of(entries), [MEAN_IOU], pairs, num_resamples=999).of_differences
        of_one_test = unadjusted_p_values(found)
        corrected += bool(found.adjusted_p_values().min() <= 0.05)
        bonferroni += bool(len(pairs) * of_one_test.min() <= 0.05)
        uncorrected += bool(of_one_test.min() <= 0.05)
    assert 0.03 <= corrected / num_samples <= 0.07
    assert bonferroni < corrected < uncorrected / 3


def unadjusted_p_values(found: Studentised) -> Fractions:
    """(num_results,): the p value of each result in a family of its own."""
    return np.concatenate(
        [
            Studentised(value, error, share, abs_t, found.degrees).adjusted_p_values()
            for value, error, share, abs_t in zip(
                found.value[:, np.newaxis],
                found.error[:, np.newaxis],
                found.training_share[:, np.newaxis],
                found.abs_t[:, np.newaxis],
                strict=True,
            )
        ]
    )


def test_intervals_and_p_values_agree_and_a_family_is_never_more_certain_than_one_test() -> None:
    population, rng = Population(), np.random.default_rng(0)
    sample = population.sample(rng, 60, 8)
    mended = sample[0] // 4 * (1 - np.eye(6, dtype=np.int64))  # the first model errs less
    sample[0] += np.eye(6, dtype=np.int64) * mended.sum(axis=2)[:, :, np.newaxis] - mended
    entries = {str(model): pixels(counts[np.newaxis]) for model, counts in enumerate(sample)}
    pairs = [(measure, first, second) for first, second in combinations(range(8), 2) for measure in (0, 1)]
    found = bootstrap(BlockSample.of(entries), [MEAN_IOU, Measure("mAcc")], pairs)
    differences, scores = found.of_differences, found.of_scores.value.reshape(2, 8)
    assert differences.value == pytest.approx([scores[m, first] - scores[m, second] for m, first, second in pairs])
    assert (differences.margins() > 0).all()
    assert (differences.margins() < differences.simultaneous_margins()).all()
    alone, adjusted = unadjusted_p_values(differences), differences.adjusted_p_values()
    assert (alone <= adjusted).all()
    for margins, p_values in ((differences.margins(), alone), (differences.simultaneous_margins(), adjusted)):
        holds_zero = np.abs(differences.value) <= margins
        assert ((np.abs(p_values - 0.05) < 1e-3) | (holds_zero == (p_values > 0.05))).all()
    assert (alone <= 0.05).any() and (alone > 0.05).any()


def test_chunks_of_resamples_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    sample = BlockSample.of({"a": pixels(confusions_of(np.random.default_rng(0), accuracy=0.8))})

    def resampled() -> Bootstrapped:
        return bootstrap(sample, [MEAN_IOU], [], num_resamples=1000)

    whole = resampled()
    monkeypatch.setattr("segbench.scoring.bootstrap.CHUNK_NUMBERS", 10_000)
    assert len(list(sample.resamples(1000, num_results=1, rng=np.random.default_rng(0)))) == 4
    in_chunks = resampled()
    np.testing.assert_allclose(in_chunks.resampled_scores, whole.resampled_scores)
    assert in_chunks.of_scores.margins() == pytest.approx(whole.of_scores.margins())


def test_entries_of_other_images_are_refused() -> None:
    rng = np.random.default_rng(0)
    entries = {name: pixels(Population().sample(rng, 20)) for name in "ab"}
    with pytest.raises(InputError, match="^b is not scored on the same true pixels as a, image by image$"):
        BlockSample.of(entries)
    with pytest.raises(InputError, match="^b is not scored on the same true pixels as a, image by image$"):
        BlockSample.of({"a": entries["a"], "b": entries["a"].select(np.s_[:19])})
    with pytest.raises(InputError, match="^there are 2 block ids; there must be one for each of 20 images$"):
        BlockSample.of({"a": entries["a"]}, [0, 1])
