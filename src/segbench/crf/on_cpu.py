"""Mean-field inference of the dense CRF on one CPU core. It releases the GIL, so that threads can use the others."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from segbench.crf.energy import CRFParameters, Floats, appearance_features, negative_unary, positions
from segbench.crf.lanes import WIDTH as LANES
from segbench.crf.lanes import exp_difference, largest, load, multiply_add, store, total
from segbench.crf.lattice import Lattice, blur, compiled, normalized
from segbench.images import RGBImage

IMPOSSIBLE = -1e4
"""The log probability in the lanes of a row that no class uses."""
APPEARANCE_CORNERS, SMOOTHNESS_CORNERS = 6, 3


def mean_field(
    image: RGBImage, probabilities: Floats, parameters: CRFParameters, *, steps: Sequence[int]
) -> list[Floats]:
    """The probabilities after each of `steps`. image: (H, W, 3) uint8; probabilities: (C, H, W) float32."""
    num_classes, height, width = probabilities.shape
    appearance = normalized(appearance_features(image, parameters), weight=parameters.appearance_weight)
    smoothness = _smoothness(height, width, parameters.smoothness_sigma_xy, parameters.smoothness_weight)
    lanes = -(-num_classes // LANES) * LANES
    unary = _in_rows(negative_unary(probabilities), lanes)

    def blank(lattice: Lattice) -> Floats:
        return np.zeros((lattice.num_rows, lanes), np.float32)

    messages = blank(appearance), blank(smoothness)
    sums = blank(appearance), blank(smoothness)
    refined = []
    for step in range(max(steps) + 1):
        wanted = np.empty((num_classes if step in steps else 0, height * width), np.float32)
        _step(
            unary, appearance.corners, appearance.weights, smoothness.corners, smoothness.weights,
            *messages, *sums, wanted, step > 0, step < max(steps),
        )  # fmt: skip
        if step in steps:
            refined.append(wanted.reshape(probabilities.shape))
        if step < max(steps):
            for values, lattice in zip(sums, (appearance, smoothness), strict=True):
                blur(values, lattice.chains)
            messages, sums = sums, messages
            for values in sums:
                values.fill(0)
    return refined


@lru_cache(maxsize=2)
def _smoothness(height: int, width: int, sigma_xy: float, weight: float) -> Lattice:
    """The smoothness lattice, which is the same for all images of one size."""
    return normalized(positions(height, width, sigma_xy=sigma_xy), weight=weight)


@compiled
def _in_rows(channels, lanes):
    """(C, N) -> (N, lanes), where lanes without a class are IMPOSSIBLE"""
    num_channels, n = channels.shape
    rows = np.full((n, lanes), np.float32(IMPOSSIBLE))
    for p in range(n):
        for c in range(num_channels):
            rows[p, c] = channels[c, p]
    return rows


@compiled
def _step(
    unary, appearance_corners, appearance_weights, smoothness_corners, smoothness_weights,
    appearance_messages, smoothness_messages, appearance_sums, smoothness_sums, refined, slices, splats,
):  # fmt: skip
    """One pass over the pixels: slice the messages, add the negative unary term, softmax, splat the probabilities.

    unary: (N, lanes) negative unary term; messages, sums: (num_rows, lanes) rows of the two lattices; refined: (C, N),
    or (0, N) if the probabilities are not wanted. slices: False in the first pass, which has no messages; splats:
    False in the last.
    """
    n, width = unary.shape
    row = np.empty(width, np.float32)
    for p in range(n):
        top = np.float32(-np.inf)
        for lane in range(0, width, LANES):
            logits = load(unary, p * width + lane)
            if slices:
                for k in range(APPEARANCE_CORNERS):
                    corner = load(appearance_messages, np.intp(appearance_corners[p, k]) * width + lane)
                    logits = multiply_add(appearance_weights[p, k], corner, logits)
                for k in range(SMOOTHNESS_CORNERS):
                    corner = load(smoothness_messages, np.intp(smoothness_corners[p, k]) * width + lane)
                    logits = multiply_add(smoothness_weights[p, k], corner, logits)
            store(row, lane, logits)
            top = max(top, largest(logits))
        norm = np.float32(0)
        for lane in range(0, width, LANES):
            exponentials = exp_difference(load(row, lane), top)
            store(row, lane, exponentials)
            norm += total(exponentials)
        share = np.float32(1) / norm
        if splats:
            for lane in range(0, width, LANES):
                exponentials = load(row, lane)
                for k in range(APPEARANCE_CORNERS):
                    start = np.intp(appearance_corners[p, k]) * width + lane
                    corner = load(appearance_sums, start)
                    store(appearance_sums, start, multiply_add(share * appearance_weights[p, k], exponentials, corner))
                for k in range(SMOOTHNESS_CORNERS):
                    start = np.intp(smoothness_corners[p, k]) * width + lane
                    corner = load(smoothness_sums, start)
                    store(smoothness_sums, start, multiply_add(share * smoothness_weights[p, k], exponentials, corner))
        for c in range(len(refined)):
            refined[c, p] = row[c] * share
