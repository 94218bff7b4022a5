"""Blocks of images: by hand, on sequences whose best length is known, and by the coverage of intervals."""

import numpy as np
import pytest

from segbench.scoring.blocks import Clips, block_length, choose_blocks
from segbench.scoring.bootstrap import BlockSample, bootstrap
from segbench.scoring.measures import Measure
from segbench.scoring.metrics import Counts, Fractions
from tests.scoring.population import pixels

MEAN_IOU = Measure("mIoU")


def autoregressive(rng: np.random.Generator, *, correlation: float, shape: tuple[int, ...]) -> Fractions:
    """Normal numbers along the first axis, each correlated with the one before."""
    noise = rng.standard_normal(shape)
    noise[1:] *= np.sqrt(1 - correlation**2)
    for place in range(1, len(noise)):
        noise[place] += correlation * noise[place - 1]
    return noise


def two_classes(difficulty: Fractions) -> Counts:
    """(num_images,) -> (1, num_images, 2, 2): of 1000 pixels of each class, fewer are right where it is difficult."""
    right = np.round(1000 / (1 + np.exp(difficulty - 1)))
    return np.stack([np.stack([right, 1000 - right]), np.stack([1000 - right, right])]).T.astype(np.int64)[np.newaxis]


def test_only_neighbouring_clips_of_a_sequence_are_joined() -> None:
    groups = ["walk"] * 6 + ["ride"] * 3 + ["photo", "photo", "photo"] + ["patient"] * 2
    clips = ["w0", "w0", "w1", "w1", "w2", "w2", "r0", "r0", "r1", "p", "q", "r", "patient", "patient"]
    found = Clips(groups, clips)
    assert found.sequences == [[0, 1, 2, 3, 4, 5], [6, 7, 8]], "single photos and whole patients are none"
    by_two = found.joined(2)
    assert [by_two.index(block) for block in by_two] == [0, 0, 0, 0, 4, 4, 6, 6, 6, 9, 10, 11, 12, 12]
    by_one = found.joined(1)
    assert [by_one.index(block) for block in by_one] == [clips.index(clip) for clip in clips]


@pytest.mark.parametrize(("correlation", "best"), [(0.3, 11.0), (0.7, 28.3)])
def test_the_length_is_the_best_for_an_autoregressive_series(correlation: float, best: float) -> None:
    """best: (1.5 * (2 r / (1 - r^2))^2 * n)^(1/3), from the series' known autocorrelation."""
    rng = np.random.default_rng(0)
    assert best == pytest.approx((1.5 * (2 * correlation / (1 - correlation**2)) ** 2 * 2000) ** (1 / 3), abs=0.1)
    series = [autoregressive(rng, correlation=correlation, shape=(2000, 4)) for _ in range(20)]
    assert np.mean([block_length([of_series]) for of_series in series]) == pytest.approx(best, rel=0.2)
    halves = [block_length(list(np.split(of_series, 2))) for of_series in series]
    assert np.mean(halves) == pytest.approx(best, rel=0.2), "two sequences"


def test_independent_errors_need_no_blocks() -> None:
    rng = np.random.default_rng(0)
    lengths = [block_length([rng.standard_normal((300, 4))]) for _ in range(40)]
    assert np.median(lengths) == 1
    assert block_length([np.zeros((300, 4))]) == 1
    assert block_length([rng.standard_normal((3, 1)), rng.standard_normal((2, 1))]) == 1


@pytest.mark.parametrize("correlation", [0.0, 0.8])
def test_chosen_blocks_make_intervals_that_cover_the_truth(correlation: float) -> None:
    """A video of 300 images in clips of 4. With clips as they are, intervals of a correlated one are too narrow."""
    rng = np.random.default_rng(0)
    of_everything = two_classes(rng.standard_normal(400_000)).sum(axis=(0, 1))
    truth = of_everything[0, 0] / (2 * of_everything[0].sum() - of_everything[0, 0])
    clips = Clips(["video"] * 300, [image // 4 for image in range(300)])
    covered = {"chosen": 0, "clips": 0}
    num_samples = 400
    for _ in range(num_samples):
        counts = {"a": pixels(two_classes(autoregressive(rng, correlation=correlation, shape=(300,))))}
        for name, ids in (("chosen", choose_blocks(counts, clips).ids), ("clips", clips.joined(1))):
            found = bootstrap(BlockSample.of(counts, ids), [MEAN_IOU], [], num_resamples=499).of_scores
            covered[name] += abs(found.value[0] - truth) <= found.margins()[0]
    shares = {name: count / num_samples for name, count in covered.items()}
    if correlation:
        assert shares["clips"] < 0.85 and 0.9 <= shares["chosen"] <= 0.97, shares
    else:
        assert all(0.92 <= share <= 0.975 for share in shares.values()), shares


def test_enough_blocks_are_left() -> None:
    rng = np.random.default_rng(0)
    counts = {"a": pixels(two_classes(autoregressive(rng, correlation=0.97, shape=(120,))))}
    clips = Clips(["video"] * 120, [image // 4 for image in range(120)])
    found = choose_blocks(counts, clips)
    assert found.images_alike is not None and found.images_per_block is not None
    assert found.images_alike > found.images_per_block == 12
    assert found.number == 10
    assert found.twice_as_long is not None and len(set(found.twice_as_long)) == 5
    few = choose_blocks(
        {"a": counts["a"].select(np.s_[:32])}, Clips(["video"] * 32, [image // 4 for image in range(32)])
    )
    assert (few.number, few.twice_as_long) == (8, None)
