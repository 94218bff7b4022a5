"""Scores with confidence intervals and ranks, and differences between entries, by the bootstrap."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from segbench.scoring.bootstrap import LEVEL, NUM_RESAMPLES, BlockSample, Studentised, bootstrap
from segbench.scoring.measures import Measure, Metric
from segbench.scoring.metrics import ClassPixels, Fractions, ratio

__all__ = ["Analysis", "Difference", "Estimate", "Interval", "Measure", "Metric", "Pair", "analyse", "error_ratios"]


@dataclass(frozen=True)
class Pair:
    """Two entries to compare: the first's score minus the second's."""

    first: str
    second: str
    measure: Measure


@dataclass(frozen=True)
class Interval:
    """A value and the bounds of its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Estimate:
    """An entry's score as a fraction, and its rank among the entries: 1 is best, equal scores share the better rank.

    The rank's bounds enclose the middle 95 % of resamples; None for a single set of predictions among means over
    several trainings. If a single block holds the measure's classes, the score's interval is [0, 1], and the rank's
    bounds are the first and the last place. seed_spread: sample standard deviation of the score over training seeds,
    None with one seed. training_share: the share of the score's squared standard error that is due to the choice of
    seeds, None if no model was trained more than once.
    """

    score: Interval
    rank: Interval | None
    seed_spread: float | None
    training_share: float | None


@dataclass(frozen=True)
class Difference:
    """A pair's difference with two intervals: for this pair alone, and simultaneous for all pairs at once.

    adjusted_p_value: of no difference, adjusted for the number of pairs. If a single block holds the measure's classes,
    the intervals are [-1, 1] and the p value is 1.
    """

    alone: Interval
    simultaneous: Interval
    adjusted_p_value: float


@dataclass(frozen=True)
class Analysis:
    """Estimates by entry and measure, differences by pair. num_compared: of each entry's trainings, the first ones."""

    num_compared: int
    estimates: Mapping[tuple[str, Measure], Estimate]
    differences: Mapping[Pair, Difference]


def analyse(
    counts: Mapping[str, ClassPixels],
    *,
    measures: Sequence[Measure] = (),
    pairs: Sequence[Pair] = (),
    blocks: Sequence[Hashable] | None = None,
    trainings: Mapping[str, str | None] = MappingProxyType({}),
    num_resamples: int = NUM_RESAMPLES,
    seed: int = 0,
) -> Analysis:
    """Estimate the measures (those of the pairs too) of every entry, and compare all pairs as one family of tests.

    counts: pixels of each image by entry, which is a model with or without a CRF: true ones (num_images, C), predicted
    and correct ones (num_seeds, num_images, C). All entries have the same images in the same order. An entry's score is
    the mean over its first n seeds, n being the smallest number of seeds. blocks: one id per image; images of a block
    are drawn together; None: each image is a block. trainings: by entry, the same name for those that were made from
    the same trainings, as a model's with and without a CRF, and None for what was not trained here; an entry that is
    not named has its own. Raises InputError if entries differ in images or true pixels. Memory: 32 MiB per chunk of
    resamples, and 20 bytes per resample and result.
    """
    names, pairs = list(counts), list(dict.fromkeys(pairs))
    measures = list(dict.fromkeys([*measures, *(pair.measure for pair in pairs)]))
    sample = BlockSample.of(counts, blocks, trainings)
    indices = [(measures.index(pair.measure), names.index(pair.first), names.index(pair.second)) for pair in pairs]
    found = bootstrap(sample, measures, indices, num_resamples=num_resamples, seed=seed)
    is_known = np.array([sample.blocks_with(measure) > 1 for measure in measures])

    shape = len(measures), len(names)
    scores = found.of_scores.value.reshape(shape)
    margins = np.where(is_known[:, np.newaxis], found.of_scores.margins().reshape(shape), np.inf)
    shares = found.of_scores.training_share.reshape(shape)
    has_shares = sample.variances_between_trainings(measures) is not None
    ranked = [e for e, runs in enumerate(sample.entries) if sample.num_compared == 1 or runs.trainings]
    estimates = {}
    for m, measure in enumerate(measures):
        ranks, resampled_ranks = _ranks(scores[m, ranked]), _ranks(found.resampled_scores[:, m, ranked])
        bounds = [_middle(of_entry) if is_known[m] else (1.0, float(len(ranked))) for of_entry in resampled_ranks.T]
        rank_of = {e: Interval(float(rank), *bound) for e, rank, bound in zip(ranked, ranks, bounds, strict=True)}
        for e, (name, of_runs) in enumerate(zip(names, sample.scores_of_runs(measure), strict=True)):
            estimates[name, measure] = Estimate(
                score=_interval(scores[m, e], margins[m, e], least=0),
                rank=rank_of.get(e),
                seed_spread=float(of_runs.std(ddof=1)) if len(of_runs) > 1 else None,
                training_share=float(shares[m, e]) if has_shares else None,
            )
    if not pairs:
        return Analysis(sample.num_compared, estimates, {})
    differences = _differences(found.of_differences, is_known=is_known[[m for m, _, _ in indices]])
    return Analysis(sample.num_compared, estimates, dict(zip(pairs, differences, strict=True)))


def error_ratios(
    counts: Mapping[str, ClassPixels], measure: Measure, *, blocks: Sequence[Hashable], joined: Sequence[Hashable]
) -> Fractions:
    """How many times as large a score's standard error is with larger blocks, such as longer clips: (num_entries,).

    About 1 where the blocks are independent, more where joined blocks resemble each other. counts and blocks: as
    for `analyse`; joined: one id per image too, of fewer and larger blocks. A standard error is itself uncertain: with
    fifteen blocks by about a fifth. NaN for an entry whose error is zero.
    """
    errors = []
    for ids in (blocks, joined):
        sample = BlockSample.of(counts, ids)
        variance = (sample.influences([measure])[:, 0] ** 2).sum(axis=0)
        errors.append(np.sqrt(variance * sample.num_blocks / (sample.num_blocks - 1)))
    return ratio(errors[1], errors[0], empty=np.nan)


def _differences(found: Studentised, *, is_known: NDArray[np.bool_]) -> list[Difference]:
    """One per pair. is_known: (num_pairs,), whether several blocks hold the measure's classes."""
    alone, simultaneous = (
        np.where(is_known, margins, np.inf) for margins in (found.margins(), found.simultaneous_margins())
    )
    adjusted_p_values = np.where(is_known, found.adjusted_p_values(), 1)
    return [
        Difference(
            alone=_interval(value, alone[p], least=-1),
            simultaneous=_interval(value, simultaneous[p], least=-1),
            adjusted_p_value=float(adjusted_p_values[p]),
        )
        for p, value in enumerate(found.value)
    ]


def _interval(value: float, margin: float, *, least: float) -> Interval:
    """Clipped to least..1."""
    return Interval(float(value), float(max(value - margin, least)), float(min(value + margin, 1.0)))


def _ranks(scores: Fractions) -> NDArray[np.int64]:
    """(..., num_entries) -> the same shape: 1 + the number of better entries; last without a score."""
    scores = np.nan_to_num(scores, nan=-1)
    return 1 + (scores[..., np.newaxis, :] > scores[..., :, np.newaxis]).sum(axis=-1)


def _middle(ranks: NDArray[np.int64]) -> tuple[float, float]:
    """Bounds of the middle LEVEL."""
    low, high = np.quantile(ranks, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], method="inverted_cdf")
    return float(low), float(high)
