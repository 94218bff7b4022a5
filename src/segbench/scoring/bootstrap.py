"""The bootstrap: scores and differences on resampled test images, and their standard errors.

The test images are the sample: intervals say how much a score could differ on other test images. How much it could
differ after another training is the seed spread, which is reported separately.

**Resamples.** A resample draws as many blocks as the sample has, with replacement, and adds up their confusion
matrices. Every model is scored on the same resamples. A block is one image, or all frames of one clip where frames
resemble each other (cluster bootstrap). A class without a pixel in a resample is left out of its mean, as in
`metrics.compute_scores`. If only few blocks hold a class, some resamples have it and others lack it, which widens the
interval of the mean. The class's own interval comes from the resamples that have it.

**Intervals** are symmetric and studentised: value +- c * error. The standard error is the infinitesimal jackknife's:
the root of the summed squares of each block's influence on the score (Efron 1982, The Jackknife, the Bootstrap and
Other Resampling Plans, ch. 6). c is the 95 % quantile over resamples of |t| = |score* - score| / error*, where error*
is the standard error of the influences of the blocks drawn.

**Simultaneous intervals** of many differences share one c: the 95 % quantile over resamples of the largest |t| of all
differences (single-step max-t: Westfall and Young 1993, Resampling-Based Multiple Testing, ch. 2; Romano and Wolf 2005,
Econometrica 73). All of them then hold at once in 95 of 100 samples. Models err on the same images, so these intervals
are narrower than with Bonferroni's correction.

**Coverage**: how many of 100 intervals contain the true mean IoU of the synthetic population in
tests/scoring/population.py.

    blocks        60 images   100 images   60 clips   30 clips   12 clips
    percentile         93.4         93.5       92.9       90.4       85.2
    BCa                92.8         92.8       92.8       90.8       85.9
    these              94.4         94.6       94.4       93.8       94.2

With 30 or more blocks, the intervals of all four metrics covered the truth 93 to 97 times in 100.

The bootstrap cannot detect variation that is absent from the sample: if a model finds no pixel of a class, the
interval of that class has zero width.
"""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from segbench.errors import InputError
from segbench.scoring.measures import Measure
from segbench.scoring.metrics import Counts, Fractions, ratio

LEVEL = 0.95
NUM_RESAMPLES = 10_000
LEAST_ERROR = 0.5
"""Lower limit of error*, relative to the error. Where a difference comes from few blocks, resamples that miss them have
an error* near zero, and their huge |t| would widen all simultaneous intervals."""
CHUNK_NUMBERS = 2**22
"""Size of the largest array in a chunk of resamples: 32 MiB of float64."""


@dataclass(frozen=True)
class BlockSample:
    """The test images in blocks, which resamples draw whole, as the pixel sums that scores are made of.

    class_pixels: (num_blocks, 1 + 2L, C) float64 pixels by class, as `Measure` takes them, of L runs. A run is one
    training seed of one entry; runs: where each entry's lie among the L.
    """

    class_pixels: Fractions
    runs: tuple[slice, ...]

    @classmethod
    def of(cls, confusions: Mapping[str, Counts], blocks: Sequence[Hashable] | None) -> "BlockSample":
        """From the arguments of `intervals.analyse`. Raises InputError if they contradict each other."""
        first, *_ = confusions
        true = confusions[first][0].sum(axis=2)
        for name, counts in confusions.items():
            if any(not np.array_equal(seed.sum(axis=2), true) for seed in counts):
                raise InputError(f"{name} is not scored on the same true pixels as {first}, image by image")
        if blocks is not None and len(blocks) != len(true):
            raise InputError(f"there are {len(blocks)} block ids; there must be one for each of {len(true)} images")
        correct = np.concatenate([np.diagonal(counts, axis1=2, axis2=3) for counts in confusions.values()])
        predicted = np.concatenate([counts.sum(axis=2) for counts in confusions.values()])
        class_pixels = np.concatenate([true[np.newaxis], correct, predicted]).swapaxes(0, 1).astype(np.float64)
        if blocks is not None:
            index_of = {block: index for index, block in enumerate(dict.fromkeys(blocks))}
            sums = np.zeros((len(index_of), *class_pixels.shape[1:]))
            np.add.at(sums, [index_of[block] for block in blocks], class_pixels)
            class_pixels = sums
        ends = np.cumsum([len(counts) for counts in confusions.values()]).tolist()
        return cls(class_pixels, tuple(slice(start, end) for start, end in pairwise([0, *ends])))

    @property
    def num_blocks(self) -> int:
        """How many blocks a resample draws."""
        return len(self.class_pixels)

    def blocks_with(self, measure: Measure) -> int:
        """How many blocks hold the measure's commonest class, or any of its classes for aAcc."""
        pixels = measure.chosen(self.class_pixels[:, 0])
        if measure.metric == "aAcc":
            pixels = pixels.sum(axis=1, keepdims=True)
        return int((pixels > 0).sum(axis=0).max())

    def scores(self, class_pixels: Fractions, measures: Sequence[Measure]) -> Fractions:
        """Sums over blocks, (..., 1 + 2L, C) -> (..., num_measures, num_entries), the mean over an entry's seeds."""
        return np.stack([self._mean_over_seeds(measure.scores(class_pixels)) for measure in measures], axis=-2)

    def seed_spread(self, measure: Measure, entry: int) -> float | None:
        """Sample standard deviation of an entry's score over its seeds, None with one seed."""
        of_seeds = measure.scores(self.class_pixels.sum(axis=0))[self.runs[entry]]
        return float(of_seeds.std(ddof=1)) if len(of_seeds) > 1 else None

    def influences(self, measures: Sequence[Measure]) -> Fractions:
        """(num_blocks, num_measures, num_entries): each score's derivative by a block's weight; they sum to 0."""
        of_measures = []
        for measure in measures:
            numerator, denominator = measure.fractions(self.class_pixels)  # (num_blocks, L, K)
            total = denominator.sum(axis=0)
            fraction = ratio(numerator.sum(axis=0), total, empty=0)
            of_classes = ratio(numerator - fraction * denominator, total, empty=0).sum(axis=-1)
            of_measures.append(self._mean_over_seeds(ratio(of_classes, (total > 0).sum(axis=-1), empty=0)))
        return np.stack(of_measures, axis=1)

    def resamples(
        self, num_resamples: int, *, num_results: int, rng: np.random.Generator
    ) -> Iterator[tuple[slice, Fractions]]:
        """Chunks of resamples: which ones, and how often each draws each block, (chunk size, num_blocks) float64."""
        chunk_size = max(1, CHUNK_NUMBERS // max(self.num_blocks, self.class_pixels[0].size, num_results))
        for start in range(0, num_resamples, chunk_size):
            chunk = slice(start, min(start + chunk_size, num_resamples))
            shape = (chunk.stop - start, self.num_blocks)
            drawn = rng.integers(self.num_blocks, size=shape) + self.num_blocks * np.arange(shape[0])[:, np.newaxis]
            yield chunk, np.bincount(drawn.ravel(), minlength=shape[0] * shape[1]).reshape(shape).astype(np.float64)

    def _mean_over_seeds(self, of_runs: Fractions) -> Fractions:
        """(..., L) -> (..., num_entries)"""
        return np.stack([of_runs[..., runs].mean(axis=-1) for runs in self.runs], axis=-1)


@dataclass(frozen=True)
class Studentised:
    """Results on the sample, their standard errors, and how many of its own standard errors each resample is away.

    value, error: (num_results,) float64. abs_t: (num_results, num_resamples) float32, NaN where a resample has no
    result.
    """

    value: Fractions
    error: Fractions
    abs_t: NDArray[np.float32]

    def margins(self) -> Fractions:
        """(num_results,): half the width of each result's own interval."""
        return _quantile(self.abs_t) * self.error

    def simultaneous_margins(self) -> Fractions:
        """(num_results,): half the width of the intervals that hold for all results at once."""
        return _quantile(self._largest_abs_t()) * self.error

    def adjusted_p_values(self) -> Fractions:
        """(num_results,): p value of each result being zero, adjusted for testing all of them."""
        return _share_at_least(self._largest_abs_t(), self._observed_abs_t())

    def _largest_abs_t(self) -> NDArray[np.float32]:
        return np.fmax.reduce(self.abs_t, axis=0, keepdims=True)

    def _observed_abs_t(self) -> Fractions:
        return np.where(np.abs(self.value) > 0, ratio(np.abs(self.value), self.error, empty=np.inf), 0)


@dataclass(frozen=True)
class Bootstrapped:
    """Scores and differences of a sample, and the scores of each resample.

    of_scores: results in the order of (num_measures, num_entries). resampled_scores: (num_resamples, num_measures,
    num_entries).
    """

    of_scores: Studentised
    of_differences: Studentised
    resampled_scores: Fractions


def bootstrap(
    sample: BlockSample,
    measures: Sequence[Measure],
    differences: Sequence[tuple[int, int, int]],
    *,
    num_resamples: int = NUM_RESAMPLES,
    seed: int = 0,
) -> Bootstrapped:
    """Score every entry on the sample and on each resample.

    differences: (measure, first entry, second entry) by their indices; the first entry's score minus the second's.
    """

    def with_differences(scores: Fractions) -> Fractions:
        """(n, num_measures, num_entries) -> (n, num_results): all scores, then the differences."""
        compared = [scores[:, measure, first] - scores[:, measure, second] for measure, first, second in differences]
        return np.column_stack([scores.reshape(len(scores), -1), *compared])

    value = with_differences(sample.scores(sample.class_pixels.sum(axis=0, keepdims=True), measures))[0]
    influence = with_differences(sample.influences(measures))
    error = np.sqrt((influence**2).sum(axis=0))
    scores = np.empty((num_resamples, len(measures), len(sample.runs)))
    abs_t = np.empty((len(value), num_resamples), np.float32)
    for chunk, weights in sample.resamples(num_resamples, num_results=len(value), rng=np.random.default_rng(seed)):
        scores[chunk] = sample.scores(np.tensordot(weights, sample.class_pixels, axes=1), measures)
        variance = weights @ influence**2 - (weights @ influence) ** 2 / sample.num_blocks
        resampled_error = np.maximum(np.sqrt(np.maximum(variance, 0)), LEAST_ERROR * error)
        abs_t[:, chunk] = ratio(np.abs(with_differences(scores[chunk]) - value), resampled_error, empty=0).T
    num_scores = scores[0].size
    of_scores = Studentised(value[:num_scores], error[:num_scores], abs_t[:num_scores])
    of_differences = Studentised(value[num_scores:], error[num_scores:], abs_t[num_scores:])
    return Bootstrapped(of_scores, of_differences, scores)


def _quantile(abs_t: NDArray[np.float32]) -> Fractions:
    """(J, R) -> (J,): the value that LEVEL of the resamples do not exceed, of those that are not NaN."""
    ordered = np.sort(abs_t, axis=1)  # NaN last
    num_valid = (~np.isnan(ordered)).sum(axis=1)
    last = np.maximum(np.ceil(LEVEL * num_valid).astype(np.int64) - 1, 0)
    return ordered[np.arange(len(ordered)), last].astype(np.float64)


def _share_at_least(abs_t: NDArray[np.float32], observed: Fractions) -> Fractions:
    """(J or 1, R) and (J,) -> p values (J,). The sample itself counts as one of the resamples."""
    return (1 + (abs_t >= observed.astype(np.float32)[:, np.newaxis]).sum(axis=1)) / (
        1 + (~np.isnan(abs_t)).sum(axis=1)
    )
