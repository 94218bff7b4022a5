"""The bootstrap: scores and differences on resampled test images and trainings, and their standard errors.

A score could be another one on other test images, and after another training. Intervals hold both, as far as models
were trained with several seeds; with one seed each, nothing is known of the second.

**Images.** A resample draws as many blocks as the sample has, with replacement, and adds up their pixels. Every entry
is scored on the same resamples. A block is one image, or all frames of one clip where frames resemble each other
(cluster bootstrap). A class without a pixel in a resample is left out of its mean, as in `metrics.compute_scores`. If
only few blocks hold a class, some resamples have it and others lack it, which widens the interval of the mean. The
class's own interval comes from the resamples that have it.

**Trainings.** An entry's score is the mean over its first n trainings, where n is the number that all entries have, so
that no mean of three is compared with one. All trainings tell the variance between seeds: it is pooled over models,
since that of one model, from two or three seeds, is unreliable. A model with the CRF and without it share their
trainings, so their difference has a variance of its own, pooled too. In a resample, the scores of a model get a normal
deviation of the variance of a mean of n trainings, and that variance is drawn from its chi-squared distribution.
Predictions of other programs are one set, of which no other training is known.

**Intervals** are symmetric and studentised: value +- c * error. The error is the root of two summed variances: that of
images is the infinitesimal jackknife's, the summed squares of each block's influence on the score (Efron 1982, The
Jackknife, the Bootstrap and Other Resampling Plans, ch. 6), and that of trainings is the pooled one divided by n. c is
the 95 % quantile over resamples of |t| = |score* - score| / error*, where error* is made from the influences of the
blocks drawn and from the variance drawn. c is at least that of Student's t with one degree of freedom less than blocks.

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

With 30 or more blocks, the intervals of all four metrics covered the truth 93 to 97 times in 100. Of models that were
trained three times, whose seeds vary as much as 60 images do, 94 of 100 intervals covered the mean over images and
seeds (8 to 60 blocks, 4 to 11 models), and 82 would without the variance of trainings. That variance is pooled as if
all models varied alike: of four whose seeds vary from not at all to 1.6 times as much as the mean of them, 99 to 85 of
100 intervals covered the truth.

The bootstrap cannot detect variation that is absent from the sample: if a model finds no pixel of a class, the
interval of that class has zero width.
"""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from scipy import special

from segbench.errors import InputError
from segbench.scoring.measures import Measure
from segbench.scoring.metrics import ClassPixels, Fractions, ratio

LEVEL = 0.95
NUM_RESAMPLES = 10_000
LEAST_ERROR = 0.5
"""Lower limit of error*, relative to the error. Where a difference comes from few blocks, resamples that miss them have
an error* near zero, and their huge |t| would widen all simultaneous intervals."""
CHUNK_NUMBERS = 2**22
"""Size of the largest array in a chunk of resamples: 32 MiB of float64."""


@dataclass(frozen=True)
class Runs:
    """Where an entry's runs, one per training seed, are among all runs.

    trainings: entries with the same name were made from the same trainings, seed by seed, such as a model with and
    without the CRF; None: not trained here. first: the entry that comes first of those with the same trainings.
    """

    where: slice
    trainings: str | None
    first: int


@dataclass(frozen=True)
class BlockSample:
    """The test images in blocks, which resamples draw whole, as the pixel sums that scores are made of.

    class_pixels: (num_blocks, 1 + 2L, C) float64 pixels by class, as `Measure` takes them, of L runs. entries: the runs
    of each entry. num_compared: an entry's score is the mean of so many runs, its first ones, or of all if it
    has fewer, as what was not trained here.
    """

    class_pixels: Fractions
    entries: tuple[Runs, ...]
    num_compared: int

    @classmethod
    def of(
        cls, counts: Mapping[str, ClassPixels], blocks: Sequence[Hashable] | None = None,
        trainings: Mapping[str, str | None] = MappingProxyType({}),
    ) -> "BlockSample":  # fmt: skip
        """From the arguments of `intervals.analyse`. Raises InputError if they contradict each other."""
        first, *_ = counts
        true = counts[first].true
        for name, pixels in counts.items():
            if not np.array_equal(pixels.true, true):
                raise InputError(f"{name} is not scored on the same true pixels as {first}, image by image")
        if blocks is not None and len(blocks) != len(true):
            raise InputError(f"there are {len(blocks)} block ids; there must be one for each of {len(true)} images")
        index_of = {block: index for index, block in enumerate(dict.fromkeys(blocks or range(len(true))))}
        block_of_image = [index_of[block] for block in blocks or range(len(true))]
        of_runs = [
            true,
            *(of_run for pixels in counts.values() for of_run in pixels.correct),
            *(of_run for pixels in counts.values() for of_run in pixels.predicted),
        ]
        class_pixels = np.zeros((len(index_of), len(of_runs), true.shape[1]))
        for run, of_images in enumerate(of_runs):
            np.add.at(class_pixels[:, run], block_of_image, of_images)

        made_from = [trainings.get(name, name) for name in counts]
        ends = np.cumsum([len(pixels.correct) for pixels in counts.values()]).tolist()
        entries = tuple(
            Runs(slice(start, end), name, made_from.index(name) if name else entry)
            for entry, (name, (start, end)) in enumerate(zip(made_from, pairwise([0, *ends]), strict=True))
        )
        trained = [runs.where.stop - runs.where.start for runs in entries if runs.trainings]
        return cls(class_pixels, entries, num_compared=min(trained, default=1))

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
        """Sums over blocks, (..., 1 + 2L, C) -> (..., num_measures, num_entries), means over the compared runs."""
        return np.stack([self._mean_over_runs(measure.scores(class_pixels)) for measure in measures], axis=-2)

    def scores_of_runs(self, measure: Measure) -> list[Fractions]:
        """For each entry, the scores of all its runs."""
        of_runs = measure.scores(self.class_pixels.sum(axis=0))
        return [of_runs[runs.where] for runs in self.entries]

    def influences(self, measures: Sequence[Measure]) -> Fractions:
        """(num_blocks, num_measures, num_entries): each score's derivative by a block's weight; they sum to 0."""
        found = np.empty((self.num_blocks, len(measures), len(self.entries)))
        chunk_size = max(1, CHUNK_NUMBERS // self.class_pixels[0].size)
        for index, measure in enumerate(measures):
            numerator, denominator = measure.fractions(self.class_pixels.sum(axis=0))  # (L, K)
            fraction, num_classes = ratio(numerator, denominator, empty=0), (denominator > 0).sum(axis=-1)
            for start in range(0, self.num_blocks, chunk_size):
                chunk = slice(start, start + chunk_size)
                of_blocks, out_of = measure.fractions(self.class_pixels[chunk])  # (chunk size, L, K)
                of_classes = ratio(of_blocks - fraction * out_of, denominator, empty=0).sum(axis=-1)
                found[chunk, index] = self._mean_over_runs(ratio(of_classes, num_classes, empty=0))
        return found

    def variances_between_trainings(self, measures: Sequence[Measure]) -> "TrainingVariances | None":
        """Of one training, pooled over models; None if no model was trained more than once."""
        scores, differences, degrees = np.zeros(len(measures)), np.zeros(len(measures)), 0
        for index, measure in enumerate(measures):
            degrees = degrees_of_differences = 0
            of_entries = self.scores_of_runs(measure)
            for entry, (runs, of_runs) in enumerate(zip(self.entries, of_entries, strict=True)):
                if runs.trainings and runs.first == entry:
                    scores[index] += _squares(of_runs)
                    degrees += len(of_runs) - 1
                elif runs.trainings:
                    differences[index] += _squares(of_runs - of_entries[runs.first])
                    degrees_of_differences += len(of_runs) - 1
            scores[index] /= max(1, degrees)
            differences[index] /= max(1, degrees_of_differences)
        return TrainingVariances(scores, differences, degrees) if degrees else None

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

    def _mean_over_runs(self, of_runs: Fractions) -> Fractions:
        """(..., L) -> (..., num_entries)"""
        compared = [of_runs[..., runs.where][..., : self.num_compared] for runs in self.entries]
        return np.stack([of_entry.mean(axis=-1) for of_entry in compared], axis=-1)


@dataclass(frozen=True)
class TrainingVariances:
    """How much one training's score varies with the seed, pooled over models, with its degrees of freedom.

    scores, differences: (num_measures,) variances: of a model's score, and of the difference that a CRF makes to it.
    """

    scores: Fractions
    differences: Fractions
    degrees: int


@dataclass(frozen=True)
class Studentised:
    """Results on the sample, their standard errors, and how many of its own standard errors each resample is away.

    value, error: (num_results,) float64. training_share: (num_results,), the share of the squared error that is due to
    trainings. abs_t: (num_results, num_resamples) float32, NaN where a resample has no result. degrees: of Student's t,
    which is the least that the resamples are taken to vary.
    """

    value: Fractions
    error: Fractions
    training_share: Fractions
    abs_t: NDArray[np.float32]
    degrees: int

    def margins(self) -> Fractions:
        """(num_results,): half the width of each result's own interval."""
        return self._at_least_student(_quantile(self.abs_t)) * self.error

    def simultaneous_margins(self) -> Fractions:
        """(num_results,): half the width of the intervals that hold for all results at once."""
        return self._at_least_student(_quantile(self._largest_abs_t())) * self.error

    def adjusted_p_values(self) -> Fractions:
        """(num_results,): p value of each result being zero, adjusted for testing all of them."""
        observed = np.where(np.abs(self.value) > 0, ratio(np.abs(self.value), self.error, empty=np.inf), 0)
        of_student = 2 * special.stdtr(self.degrees, -observed)
        return np.maximum(_share_at_least(self._largest_abs_t(), observed), of_student)

    def _at_least_student(self, quantile: Fractions) -> Fractions:
        return np.maximum(quantile, special.stdtrit(self.degrees, (1 + LEVEL) / 2))

    def _largest_abs_t(self) -> NDArray[np.float32]:
        return np.fmax.reduce(self.abs_t, axis=0, keepdims=True)


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

    rng = np.random.default_rng(seed)
    value = with_differences(sample.scores(sample.class_pixels.sum(axis=0, keepdims=True), measures))[0]
    influence = with_differences(sample.influences(measures))
    of_images, trainings = (influence**2).sum(axis=0), _Trainings.of(sample, measures)
    of_trainings = trainings.variances(differences)
    scores = np.empty((num_resamples, len(measures), len(sample.entries)))
    abs_t = np.empty((len(value), num_resamples), np.float32)
    for chunk, weights in sample.resamples(num_resamples, num_results=len(value), rng=rng):
        scores[chunk] = sample.scores(np.tensordot(weights, sample.class_pixels, axes=1), measures)
        deviations, scale = trainings.draw(len(weights), rng)
        scores[chunk] += deviations
        variance = weights @ influence**2 - (weights @ influence) ** 2 / sample.num_blocks
        resampled_error = np.sqrt(np.maximum(variance, LEAST_ERROR**2 * of_images) + scale * of_trainings)
        abs_t[:, chunk] = ratio(np.abs(with_differences(scores[chunk]) - value), resampled_error, empty=0).T
    error = np.sqrt(of_images + of_trainings)
    share = ratio(of_trainings, error**2, empty=0)
    of_scores, of_differences = (
        Studentised(value[which], error[which], share[which], abs_t[which], degrees=max(1, sample.num_blocks - 1))
        for which in (np.s_[: scores[0].size], np.s_[scores[0].size :])
    )
    return Bootstrapped(of_scores, of_differences, scores)


@dataclass(frozen=True)
class _Trainings:
    """The variation between trainings, of the mean over the compared runs.

    of_model: (num_measures, num_entries) variances of the deviation that all entries with the same trainings share,
    zero for what was not trained here; of_entry: of an entry's own deviation from the first of those.
    """

    of_model: Fractions
    of_entry: Fractions
    first: list[int]
    degrees: int

    @classmethod
    def of(cls, sample: BlockSample, measures: Sequence[Measure]) -> "_Trainings":
        first = [runs.first for runs in sample.entries]
        is_trained = np.array([bool(runs.trainings) for runs in sample.entries])
        is_own = np.array([runs.first != entry for entry, runs in enumerate(sample.entries)])
        found = sample.variances_between_trainings(measures)
        if found is None:
            nothing = np.zeros((len(measures), len(first)))
            return cls(nothing, nothing, first, degrees=0)
        of_model, of_entry = found.scores[:, np.newaxis] * is_trained, found.differences[:, np.newaxis] * is_own
        return cls(of_model / sample.num_compared, of_entry / sample.num_compared, first, found.degrees)

    def variances(self, differences: Sequence[tuple[int, int, int]]) -> Fractions:
        """(num_results,): of all scores, then of the differences. What a pair has from the same trainings cancels."""
        of_pairs = [
            self.of_entry[measure, [first, second]].sum()
            + (self.first[first] != self.first[second]) * self.of_model[measure, [first, second]].sum()
            for measure, first, second in differences
        ]
        return np.concatenate([(self.of_model + self.of_entry).ravel(), of_pairs])

    def draw(self, num_resamples: int, rng: np.random.Generator) -> tuple[Fractions, Fractions]:
        """(n, num_measures, num_entries) deviations of scores, and (n, 1) times as large a variance as estimated."""
        if not self.degrees:
            return np.zeros((1, 1, 1)), np.ones((1, 1))
        of_model, of_entry = rng.standard_normal((2, num_resamples, 1, len(self.first)))
        deviations = np.sqrt(self.of_model) * of_model[..., self.first] + np.sqrt(self.of_entry) * of_entry
        return deviations, rng.chisquare(self.degrees, (num_resamples, 1)) / self.degrees


def _quantile(abs_t: NDArray[np.float32]) -> Fractions:
    """(J, R) -> (J,): the value that LEVEL of the resamples do not exceed, of those that are not NaN."""
    ordered = np.sort(abs_t, axis=1)  # NaN last
    num_valid = (~np.isnan(ordered)).sum(axis=1)
    last = np.maximum(np.ceil(LEVEL * num_valid).astype(np.int64) - 1, 0)
    return ordered[np.arange(len(ordered)), last].astype(np.float64)


def _squares(values: Fractions) -> float:
    """The summed squares of deviations from the mean; 0 where a value is missing."""
    return float(np.nan_to_num(((values - values.mean()) ** 2).sum()))


def _share_at_least(abs_t: NDArray[np.float32], observed: Fractions) -> Fractions:
    """(J or 1, R) and (J,) -> p values (J,). The sample itself counts as one of the resamples."""
    return (1 + (abs_t >= observed.astype(np.float32)[:, np.newaxis]).sum(axis=1)) / (
        1 + (~np.isnan(abs_t)).sum(axis=1)
    )
