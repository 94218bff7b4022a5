"""How long the analysis of a large benchmark takes, and how much memory. Run with `make bench`.

As `compare` analyses it: all metrics of 11 models with and without the CRF, their ranks, and the differences of mIoU
between each two models as published and with and without the CRF, on as many images and classes as COCO's validation
split has.
"""

import resource
import time
from itertools import combinations

import numpy as np

from benchmarks.markdown import print_limits
from segbench.machine import describe_machine
from segbench.scoring.bootstrap import NUM_RESAMPLES
from segbench.scoring.intervals import Measure, Pair, analyse
from segbench.scoring.metrics import ClassPixels

NUM_MODELS, NUM_IMAGES, NUM_CLASSES = 11, 5000, 182
LIMIT_S, LIMIT_MIB = 60.0, 2048.0


def random_counts(rng: np.random.Generator) -> dict[str, ClassPixels]:
    """By entry: the same true pixels of a few classes per image, with another accuracy each."""
    present = rng.random((NUM_IMAGES, NUM_CLASSES)) < 0.05
    present[:, 0] = True
    true = (rng.integers(1_000, 50_000, present.shape) * present).astype(np.uint32)
    counts = {}
    for entry in range(2 * NUM_MODELS):
        correct = rng.binomial(true, 0.5 + 0.01 * entry).astype(np.uint32)
        predicted = correct + rng.permuted(true - correct, axis=1)
        counts[f"model {entry // 2}{' + CRF' * (entry % 2)}"] = ClassPixels(
            true, predicted[np.newaxis], correct[np.newaxis]
        )
    return counts


def peak_mib() -> float:
    """The most memory that this process has held so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Print seconds and MiB beside their limits."""
    counts = random_counts(np.random.default_rng(0))
    metrics = [Measure("aAcc"), Measure("mAcc"), Measure("mIoU"), Measure("mDice")]
    models = [f"model {model}" for model in range(NUM_MODELS)]
    pairs = [Pair(f"{model} + CRF", model, Measure("mIoU")) for model in models]
    pairs += [Pair(first, second, Measure("mIoU")) for first, second in combinations(models, 2)]
    start = time.perf_counter()
    analysis = analyse(counts, measures=metrics, pairs=pairs)
    rows = [("seconds", time.perf_counter() - start, LIMIT_S), ("MiB of the process at most", peak_mib(), LIMIT_MIB)]
    print("# The statistics of a large benchmark\n")
    print(
        f"{describe_machine()}. {len(counts)} entries, {NUM_IMAGES} images, {NUM_CLASSES} classes, "
        f"{NUM_RESAMPLES} resamples: {len(analysis.estimates)} estimates and ranks, "
        f"{len(analysis.differences)} differences.\n"
    )
    print_limits(rows)


if __name__ == "__main__":
    main()
