"""How long networks take for an image, measured so that the same network takes the same time in another process.

Each round times every network on every image in turn, so that whatever else the machine does slows all of them alike.
A network's latency is the least of its rounds' medians over images: other work can only add to it.

Measured with fcn_32s, fcn_16s and fcn_8s on images of 240x180 px, on two cores that also did other work. Each model in
a process of its own, one prediction per test image: 32, 22 and 37 ms at one time; fcn_32s 25 ms at another, and 372 ms
beside a busy process. Interleaved, in a quiet process and in one where half of the rounds took up to ten times as long:
least of the rounds' medians 22.7, 20.9, 20.1 and 21.8, 20.6, 19.8 ms (4 % apart at most, and in the same order); median
of the rounds' medians 23.2, 21.1, 20.6 and 25.5, 24.1, 24.1 ms (17 %); median over images of each image's least time
22.4, 20.6, 19.9 and 20.8, 18.7, 18.3 ms (9 %). Where a machine was busy in every round, nothing helped: 109, 100 and
141 ms. The interval shows it, since rounds then differ: the medians of that process's were 109 to 1186 ms.
The weights' values do not matter: networks with random ones took within 2 % of those with ImageNet's.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segbench.images import RGBImage
from segbench.prediction.predictor import timed

WARM_UP_IMAGES = 3
"""The first predictions are slower."""
ROUNDS = 12
NUM_RESAMPLES = 1000


@dataclass(frozen=True)
class Latency:
    """The time for one image, and its 95 % interval from a bootstrap over rounds and images."""

    latency_ms: float
    latency_low_ms: float
    latency_high_ms: float


def measure_latencies(
    networks: Mapping[str, Callable[[RGBImage], object]], images: Sequence[RGBImage]
) -> dict[str, Latency]:
    """Time all networks in turn, ROUNDS times, after a warm-up. networks: what predicts an image, by name."""
    for predict in networks.values():
        for _ in range(WARM_UP_IMAGES):
            predict(images[0])
    times_ms = np.array(
        [[[timed(predict, image)[1] for predict in networks.values()] for image in images] for _ in range(ROUNDS)]
    )  # (ROUNDS, num_images, num_networks)
    return {name: summarise_rounds(times_ms[:, :, index]) for index, name in enumerate(networks)}


def summarise_rounds(times_ms: NDArray[np.float64]) -> Latency:
    """The least of the rounds' medians, and its interval. times_ms: (num_rounds, num_images)."""
    rng = np.random.default_rng(0)
    num_rounds, num_images = times_ms.shape
    resampled = [
        _least_median(times_ms[rng.integers(num_rounds, size=num_rounds)][:, rng.integers(num_images, size=num_images)])
        for _ in range(NUM_RESAMPLES)
    ]
    low, high = np.quantile(resampled, [0.025, 0.975])
    latency = _least_median(times_ms)
    return Latency(round(latency, 2), round(min(float(low), latency), 2), round(max(float(high), latency), 2))


def _least_median(times_ms: NDArray[np.float64]) -> float:
    return float(np.median(times_ms, axis=1).min())
