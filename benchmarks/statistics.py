"""How long the analysis of a large benchmark takes, and how much memory. Run with `make bench`.

All metrics, the IoU of every class, ranks and differences of 12 models, on as many images and classes as Pascal VOC's
validation split has.
"""

import resource
import time
from itertools import combinations

import numpy as np

from segbench.machine import describe_machine
from segbench.scoring.bootstrap import NUM_RESAMPLES
from segbench.scoring.intervals import Measure, Pair, analyse
from segbench.scoring.metrics import Counts

NUM_MODELS, NUM_IMAGES, NUM_CLASSES = 12, 1500, 21
LIMIT_S, LIMIT_MIB = 20.0, 1024.0


def random_confusions(rng: np.random.Generator) -> dict[str, Counts]:
    """By model, (1, NUM_IMAGES, C, C): the same true pixels of a few classes per image, with another accuracy each."""
    present = rng.random((NUM_IMAGES, NUM_CLASSES)) < 0.15
    present[:, 0] = True
    true = rng.integers(1_000, 50_000, present.shape) * present
    confusions = {}
    for model in range(NUM_MODELS):
        correct = rng.binomial(true, 0.7 + 0.01 * model)
        counts = rng.multinomial(true - correct, np.full(NUM_CLASSES, 1 / NUM_CLASSES))
        np.einsum("ncc->nc", counts)[:] += correct
        confusions[f"model {model}"] = counts[np.newaxis]
    return confusions


def peak_mib() -> float:
    """The most memory that this process has held so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Print seconds and MiB beside their limits."""
    print(describe_machine())
    confusions = random_confusions(np.random.default_rng(0))
    before_mib = peak_mib()
    metrics = [Measure("aAcc"), Measure("mAcc"), Measure("mIoU"), Measure("mDice")]
    class_ious = [Measure("mIoU", (index,)) for index in range(NUM_CLASSES)]
    pairs = [Pair(first, second, metric) for metric in metrics for first, second in combinations(confusions, 2)]
    start = time.perf_counter()
    analysis = analyse(confusions, measures=metrics + class_ious, pairs=pairs)
    rows = [
        ("seconds", time.perf_counter() - start, LIMIT_S),
        ("MiB beside the counts", peak_mib() - before_mib, LIMIT_MIB),
    ]
    print(
        f"{NUM_MODELS} models, {NUM_IMAGES} images, {NUM_CLASSES} classes, {NUM_RESAMPLES} resamples: "
        f"{len(analysis.estimates)} estimates and ranks, {len(analysis.differences)} differences"
    )
    print(f"{'what':<28}{'measured':>9}{'limit':>9}")
    for name, measured, limit in rows:
        print(f"{name:<28}{measured:>9.2f}{limit:>9.2f}{'' if measured <= limit else '  TOO MUCH'}")


if __name__ == "__main__":
    main()
