"""How sure scores, differences and ranks are, by a bootstrap over images from their confusion matrices.

Images are the sample: an interval says what other images would change. What other seeds of the training would change is
the seed spread, which is apart from it.

**Resamples.** One draws as many blocks as there are, with replacement, and sums their confusion matrices; every model
gets the same ones. A block is an image, or all frames of one clip where frames resemble each other (cluster bootstrap).
A class without a pixel in a resample is left out of its mean, as in `metrics.scores`: where few blocks hold a class,
resamples jump between the mean with it and without, which widens the mean's interval. The class's own interval is of
the resamples that have it.

**Intervals** are symmetric and studentised: value +- c * error. The error is the infinitesimal jackknife's, the root of
the summed squares of each block's influence on the score (Efron 1982, The Jackknife, the Bootstrap and Other Resampling
Plans, ch. 6). c is the 95 % quantile over resamples of |t| = |score* - score| / error*, where error* is the standard
error of the influences of the blocks drawn. How often in 100 samples they cover the known mean IoU of a synthetic
population, which tests/test_statistics.py describes:

    blocks        60 images   100 images   60 clips   30 clips   12 clips
    percentile         93.4         93.5       92.9       90.4       85.2
    BCa                92.8         92.8       92.8       90.8       85.9
    these              94.4         94.6       94.4       93.8       94.2

**Many differences** share one c: the quantile of each resample's largest |t| of all pairs (single-step max-t: Westfall
and Young 1993, Resampling-Based Multiple Testing, ch. 2; Romano and Wolf 2005, Econometrica 73). All simultaneous
intervals then hold at once in 95 of 100 samples, and as models err on the same images, less is lost than by
Bonferroni's correction.

Nothing here sees a spread that no block shows: a model that finds no pixel of a class has an interval of no width.
"""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from segbench.errors import InputError
from segbench.scoring.metrics import Counts, Fractions

Metric = Literal["aAcc", "mAcc", "mIoU", "mDice"]
LEVEL = 0.95
NUM_RESAMPLES = 10_000
TRUSTED_BLOCKS = 30
"""From so many blocks on, intervals of every metric were measured to cover 93 to 97 times in 100."""
LEAST_ERROR = 0.5
"""Of error*, relative to the error: a difference that few blocks show is else divided by nearly nothing in resamples
that miss those, and would widen all simultaneous intervals."""
CHUNK_NUMBERS = 2**22
"""In the largest array of a chunk of resamples: 32 MiB."""


@dataclass(frozen=True)
class Measure:
    """What is measured: a metric over some classes, or over all. `Measure("mIoU", (3,))` is the IoU of class 3."""

    metric: Metric = "mIoU"
    classes: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        if self.classes == ():
            raise ValueError("a score needs at least one class")


@dataclass(frozen=True)
class Pair:
    """A comparison to make: the first entry's score minus the second's."""

    first: str
    second: str
    score: Measure


@dataclass(frozen=True)
class Interval:
    """A value and the bounds of its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Estimate:
    """An entry's score as a fraction, and its rank among the entries: 1 is best, equals share the better rank.

    Of the rank, low and high bound it in the middle 95 % of resamples. seed_spread is the sample standard deviation of
    the score over training seeds, None with one seed. num_blocks is how many blocks hold the score's commonest class:
    below TRUSTED_BLOCKS the interval may be too narrow, and with one block it is [0, 1].
    """

    score: Interval
    rank: Interval
    seed_spread: float | None
    num_blocks: int


@dataclass(frozen=True)
class Difference:
    """A pair's difference: its interval alone and the one that holds for all pairs at once, and p of no difference.

    Where a single block holds the score's classes, intervals are [-1, 1] and p is 1.
    """

    alone: Interval
    simultaneous: Interval
    p_value: float
    adjusted_p_value: float


@dataclass(frozen=True)
class Analysis:
    """Estimates by entry and score, differences by pair."""

    estimates: Mapping[tuple[str, Measure], Estimate]
    differences: Mapping[Pair, Difference]


def analyse(
    confusions: Mapping[str, Counts],
    *,
    scores: Sequence[Measure] = (),
    pairs: Sequence[Pair] = (),
    blocks: Sequence[Hashable] | None = None,
    num_resamples: int = NUM_RESAMPLES,
    seed: int = 0,
) -> Analysis:
    """Estimate the scores (those of the pairs too) of every entry, and compare the pairs, which are one family.

    confusions: by entry (a model, or one with a CRF behind it) its (num_seeds, num_images, C, C) counts, of one or more
    training seeds; an entry's score is the mean of its seeds' scores. An image has the same place in every entry.
    blocks: an id an image, whole blocks are drawn; None: each image is its own. Raises InputError where entries differ
    in images or true pixels. Memory: 32 MiB a chunk of resamples, and 20 bytes a resample and result.
    """
    scores = list(dict.fromkeys([*scores, *(pair.score for pair in pairs)]))
    names = list(confusions)
    places = {pair: (scores.index(pair.score), names.index(pair.first), names.index(pair.second)) for pair in pairs}

    def with_differences(of_entries: Fractions) -> Fractions:
        """(n, num_scores, num_entries) -> (n, J): all of those, then the pairs' differences."""
        differences = [of_entries[:, s, first] - of_entries[:, s, second] for s, first, second in places.values()]
        return np.column_stack([of_entries.reshape(len(of_entries), -1), *differences])

    sample = _Sample.of(confusions, blocks)
    values = sample.values(sample.marginals.sum(axis=0, keepdims=True), scores)
    value, influence = with_differences(values)[0], with_differences(sample.influences(scores))
    error = np.sqrt((influence**2).sum(axis=0))
    resampled = np.empty((num_resamples, len(scores), len(names)))
    deviations = np.empty((len(value), num_resamples), np.float32)  # |t| by result
    for rows, weights in sample.resamples(num_resamples, num_results=len(value), rng=np.random.default_rng(seed)):
        resampled[rows] = sample.values(np.tensordot(weights, sample.marginals, axes=1), scores)
        variance = weights @ influence**2 - (weights @ influence) ** 2 / sample.num_blocks
        resampled_error = np.maximum(np.sqrt(np.maximum(variance, 0)), LEAST_ERROR * error)
        deviations[:, rows] = _ratio(np.abs(with_differences(resampled[rows]) - value), resampled_error, empty=0).T

    num_blocks = [sample.blocks_with(score) for score in scores]
    estimates = {}
    margins = (_quantile(deviations[: values.size]) * error[: values.size]).reshape(values.shape[1:])
    for s, score in enumerate(scores):
        ranks, resampled_ranks = _ranks(values[0, s]), _ranks(resampled[:, s])
        for e, name in enumerate(names):
            estimates[name, score] = Estimate(
                score=_interval(values[0, s, e], margins[s, e] if num_blocks[s] > 1 else np.inf, least=0),
                rank=Interval(float(ranks[e]), *_middle(resampled_ranks[:, e])),
                seed_spread=sample.seed_spread(score, e),
                num_blocks=num_blocks[s],
            )
    if not places:
        return Analysis(estimates, {})
    of_pairs = np.s_[values.size :]
    is_known = np.array([num_blocks[s] > 1 for s, _, _ in places.values()])
    differences = _compare(value[of_pairs], error[of_pairs], deviations[of_pairs], is_known)
    return Analysis(estimates, dict(zip(places, differences, strict=True)))


def error_ratios(
    confusions: Mapping[str, Counts], score: Measure, *, blocks: Sequence[Hashable], joined: Sequence[Hashable]
) -> Fractions:
    """(num_entries,): how many times as large a score's standard error is with other blocks, such as longer clips.

    One where the blocks are independent, more where those that are joined err alike. confusions and blocks: as for
    `analyse`; joined: an id an image too, of fewer blocks. An error of few blocks is itself uncertain, by a fifth of
    fifteen. Entries without an error have NaN.
    """
    errors = []
    for ids in (blocks, joined):
        sample = _Sample.of(confusions, ids)
        variance = (sample.influences([score])[:, 0] ** 2).sum(axis=0)
        errors.append(np.sqrt(variance * sample.num_blocks / (sample.num_blocks - 1)))
    return _ratio(errors[1], errors[0], empty=np.nan)


def _compare(
    value: Fractions, error: Fractions, deviations: NDArray[np.float32], is_known: NDArray[np.bool_]
) -> list[Difference]:
    """One a pair. value, error, is_known: (num_pairs,); deviations: (num_pairs, R), |t| of each resample."""
    family = np.fmax.reduce(deviations, axis=0, keepdims=True)
    observed = np.where(is_known & (np.abs(value) > 0), _ratio(np.abs(value), error, empty=np.inf), 0)
    alone, simultaneous = (np.where(is_known, _quantile(of) * error, np.inf) for of in (deviations, family))
    p_value, adjusted_p_value = (_share_at_least(of, observed) for of in (deviations, family))
    return [
        Difference(
            alone=_interval(value[j], alone[j], least=-1),
            simultaneous=_interval(value[j], simultaneous[j], least=-1),
            p_value=float(p_value[j]),
            adjusted_p_value=float(adjusted_p_value[j]),
        )
        for j in range(len(value))
    ]


@dataclass(frozen=True)
class _Sample:
    """Blocks of images, as the sums that scores are made of.

    marginals: (num_blocks, 1 + 2L, C) float64 pixels by class: true, then correct by lane, then predicted by lane. A
    lane is one seed of one entry; lanes: where each entry's lie.
    """

    marginals: Fractions
    lanes: tuple[slice, ...]

    @classmethod
    def of(cls, confusions: Mapping[str, Counts], blocks: Sequence[Hashable] | None) -> "_Sample":
        first, *_ = confusions
        true = confusions[first][0].sum(axis=2)
        for name, counts in confusions.items():
            if any(not np.array_equal(seed.sum(axis=2), true) for seed in counts):
                raise InputError(f"{name} is not scored on the same true pixels as {first}, image by image")
        if blocks is not None and len(blocks) != len(true):
            raise InputError(f"there are {len(blocks)} block ids; there must be one for each of {len(true)} images")
        correct = np.concatenate([np.diagonal(counts, axis1=2, axis2=3) for counts in confusions.values()])
        predicted = np.concatenate([counts.sum(axis=2) for counts in confusions.values()])
        marginals = np.concatenate([true[np.newaxis], correct, predicted]).swapaxes(0, 1).astype(np.float64)
        if blocks is not None:
            place = {block: index for index, block in enumerate(dict.fromkeys(blocks))}
            sums = np.zeros((len(place), *marginals.shape[1:]))
            np.add.at(sums, [place[block] for block in blocks], marginals)
            marginals = sums
        ends = np.cumsum([len(counts) for counts in confusions.values()]).tolist()
        return cls(marginals, tuple(slice(start, end) for start, end in pairwise([0, *ends])))

    @property
    def num_blocks(self) -> int:
        return len(self.marginals)

    def values(self, marginals: Fractions, scores: Sequence[Measure]) -> Fractions:
        """Sums of blocks, (..., 1 + 2L, C) -> (..., num_scores, num_entries)."""
        return np.stack([self._over_seeds(_mean_fraction(*_fractions(marginals, score))) for score in scores], axis=-2)

    def influences(self, scores: Sequence[Measure]) -> Fractions:
        """(num_blocks, num_scores, num_entries): what a little more of a block adds to the score; the sum is 0."""
        by_score = []
        for score in scores:
            correct, pixels = _fractions(self.marginals, score)  # (num_blocks, L, K)
            all_pixels = pixels.sum(axis=0)
            fraction = _ratio(correct.sum(axis=0), all_pixels, empty=0)
            of_classes = _ratio(correct - fraction * pixels, all_pixels, empty=0).sum(axis=-1)
            by_score.append(self._over_seeds(_ratio(of_classes, (all_pixels > 0).sum(axis=-1), empty=0)))
        return np.stack(by_score, axis=1)

    def seed_spread(self, score: Measure, entry: int) -> float | None:
        """Sample standard deviation of an entry's score over its seeds."""
        by_lane = _mean_fraction(*_fractions(self.marginals.sum(axis=0), score))[self.lanes[entry]]
        return float(by_lane.std(ddof=1)) if len(by_lane) > 1 else None

    def blocks_with(self, score: Measure) -> int:
        """How many blocks hold the score's commonest class."""
        pixels = self.marginals[:, 0, _chosen(score)]
        if score.metric == "aAcc":  # one fraction of all classes' pixels
            pixels = pixels.sum(axis=1, keepdims=True)
        return int((pixels > 0).sum(axis=0).max())

    def resamples(
        self, num_resamples: int, *, num_results: int, rng: np.random.Generator
    ) -> Iterator[tuple[slice, Fractions]]:
        """Chunks of rows, and how often each of those resamples draws each block: (rows, num_blocks) float64."""
        num_rows = max(1, CHUNK_NUMBERS // max(self.num_blocks, self.marginals[0].size, num_results))
        for start in range(0, num_resamples, num_rows):
            rows = slice(start, min(start + num_rows, num_resamples))
            shape = (rows.stop - start, self.num_blocks)
            drawn = rng.integers(self.num_blocks, size=shape) + self.num_blocks * np.arange(shape[0])[:, np.newaxis]
            yield rows, np.bincount(drawn.ravel(), minlength=shape[0] * shape[1]).reshape(shape).astype(np.float64)

    def _over_seeds(self, by_lane: Fractions) -> Fractions:
        """(..., L) -> (..., num_entries)"""
        return np.stack([by_lane[..., lane].mean(axis=-1) for lane in self.lanes], axis=-1)


def _chosen(score: Measure) -> slice | list[int]:
    return np.s_[:] if score.classes is None else list(score.classes)


def _fractions(marginals: Fractions, score: Measure) -> tuple[Fractions, Fractions]:
    """Numerators and denominators (..., L, K) whose mean over K is the score, from marginals (..., 1 + 2L, C)."""
    chosen = marginals[..., _chosen(score)]
    num_lanes = chosen.shape[-2] // 2
    true, correct, predicted = np.split(chosen, [1, 1 + num_lanes], axis=-2)
    match score.metric:
        case "aAcc":
            correct, true = correct.sum(axis=-1, keepdims=True), true.sum(axis=-1, keepdims=True)
            return correct, np.broadcast_to(true, correct.shape)
        case "mAcc":
            return correct, np.broadcast_to(true, correct.shape)
        case "mIoU":
            return correct, true + predicted - correct
        case "mDice":
            return 2 * correct, true + predicted


def _mean_fraction(numerator: Fractions, denominator: Fractions) -> Fractions:
    """(..., K) -> (...): the mean over those with a denominator, NaN without any."""
    fractions = _ratio(numerator, denominator, empty=0)
    return _ratio(fractions.sum(axis=-1), (denominator > 0).sum(axis=-1), empty=np.nan)


def _ratio(numerator: Fractions, denominator: NDArray[Any], *, empty: float) -> Fractions:
    """`empty` where the denominator is zero."""
    shape = np.broadcast_shapes(numerator.shape, denominator.shape)
    return np.divide(numerator, denominator, out=np.full(shape, empty, np.float64), where=denominator > 0)


def _quantile(deviations: NDArray[np.float32]) -> Fractions:
    """(J, R) -> (J,): what LEVEL of the resamples do not exceed, of those that are not NaN."""
    ordered = np.sort(deviations, axis=1)  # NaN last
    num_valid = (~np.isnan(ordered)).sum(axis=1)
    last = np.maximum(np.ceil(LEVEL * num_valid).astype(np.int64) - 1, 0)
    return ordered[np.arange(len(ordered)), last].astype(np.float64)


def _share_at_least(deviations: NDArray[np.float32], observed: Fractions) -> Fractions:
    """p values of observed (J,) against (J or 1, R), the sample itself counted as one of the resamples."""
    return (1 + (deviations >= observed.astype(np.float32)[:, np.newaxis]).sum(axis=1)) / (
        1 + (~np.isnan(deviations)).sum(axis=1)
    )


def _interval(value: float, margin: float, *, least: float) -> Interval:
    """Cut to least..1."""
    return Interval(float(value), float(max(value - margin, least)), float(min(value + margin, 1.0)))


def _ranks(values: Fractions) -> NDArray[np.int64]:
    """(..., num_entries) -> the same: 1 + the number of better ones; last without a score."""
    values = np.nan_to_num(values, nan=-1)
    return 1 + (values[..., np.newaxis, :] > values[..., :, np.newaxis]).sum(axis=-1)


def _middle(ranks: NDArray[np.int64]) -> tuple[float, float]:
    """Bounds of the middle LEVEL."""
    low, high = np.quantile(ranks, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], method="inverted_cdf")
    return float(low), float(high)
