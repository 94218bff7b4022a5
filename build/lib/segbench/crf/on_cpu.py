"""Mean-field inference of the dense CRF on one CPU core. It releases the GIL, so that threads can use the others."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from segbench.crf.compiling import compiled
from segbench.crf.energy import CRFParameters, Floats, appearance_features, negative_unary, positions
from segbench.crf.lanes import add, exp_difference, largest, load, maximum, multiply, multiply_add, store, total
from segbench.crf.lattice import BLURS, VECTORS, Lattice, normalized
from segbench.images import RGBImage

IMPOSSIBLE = -1e4
"""The log probability in the lanes of a row that no class uses."""
BLOCK = 64
"""So many pixels are sliced, then normalised, then splatted: within a phase, no pixel waits for another."""
APPEARANCE_CORNERS, SMOOTHNESS_CORNERS = 6, 3


def mean_field(
    image: RGBImage, probabilities: Floats, parameters: CRFParameters, *, steps: Sequence[int]
) -> list[Floats]:
    """The probabilities after each of `steps`. image: (H, W, 3) uint8; probabilities: (C, H, W) float32."""
    num_classes, height, width = probabilities.shape
    appearance = normalized(appearance_features(image, parameters), weight=parameters.appearance_weight)
    smoothness = _smoothness(height, width, parameters.smoothness_sigma_xy, parameters.smoothness_weight)
    vector, lanes = row_layout(num_classes)
    unary = _in_rows(negative_unary(probabilities), lanes)

    def blank(lattice: Lattice) -> Floats:
        return np.zeros((lattice.num_rows, lanes), np.float32)

    messages = blank(appearance), blank(smoothness)
    sums = blank(appearance), blank(smoothness)
    refined = []
    for step in range(max(steps) + 1):
        wanted = np.empty((num_classes if step in steps else 0, height * width), np.float32)
        STEPS[vector](
            unary, appearance.corners, appearance.weights, smoothness.corners, smoothness.weights,
            *messages, *sums, wanted, step > 0, step < max(steps),
        )  # fmt: skip
        if step in steps:
            refined.append(wanted.reshape(probabilities.shape))
        if step < max(steps):
            for values, lattice in zip(sums, (appearance, smoothness), strict=True):
                BLURS[vector](values, lattice.chains)
            messages, sums = sums, messages
            for values in sums:
                values.fill(0)
    return refined


@lru_cache(maxsize=2)
def _smoothness(height: int, width: int, sigma_xy: float, weight: float) -> Lattice:
    """The smoothness lattice, which is the same for all images of one size."""
    return normalized(positions(height, width, sigma_xy=sigma_xy), weight=weight)


def row_layout(num_classes: int) -> tuple[int, int]:
    """The lanes of a vector, and of a row of classes: a multiple of 8, in vectors of 16 where that divides it"""
    lanes = -(-num_classes // VECTORS[0]) * VECTORS[0]
    return max(vector for vector in VECTORS if lanes % vector == 0), lanes


@compiled
def _in_rows(channels, lanes):
    """(C, N) -> (N, lanes), where lanes without a class are IMPOSSIBLE"""
    num_channels, n = channels.shape
    rows = np.full((n, lanes), np.float32(IMPOSSIBLE))
    for p in range(n):
        for c in range(num_channels):
            rows[p, c] = channels[c, p]
    return rows


def _stepper(lanes):
    """`step`, compiled for values of so many lanes."""

    @compiled
    def step(
        unary, appearance_corners, appearance_weights, smoothness_corners, smoothness_weights,
        appearance_messages, smoothness_messages, appearance_sums, smoothness_sums, refined, slices, splats,
    ):  # fmt: skip
        """One pass over the pixels: slice the messages, add the negative unary term, softmax, splat the probabilities.

        unary: (N, width) negative unary term; messages, sums: (num_rows, width) rows of the two lattices; refined:
        (C, N), or (0, N) if the probabilities are not wanted. slices: False in the first pass, which has no messages;
        splats: False in the last.
        """
        n, width = unary.shape
        block = np.empty((BLOCK, width), np.float32)
        for first in range(0, n, BLOCK):
            last = min(first + BLOCK, n)
            for p in range(first, last):
                row = (p - first) * width
                for lane in range(0, width, lanes):
                    logits = load(unary, p * width + lane, lanes)
                    if slices:
                        for k in range(APPEARANCE_CORNERS):
                            start = np.intp(appearance_corners[p, k]) * width + lane
                            corner = load(appearance_messages, start, lanes)
                            logits = multiply_add(appearance_weights[p, k], corner, logits)
                        for k in range(SMOOTHNESS_CORNERS):
                            start = np.intp(smoothness_corners[p, k]) * width + lane
                            corner = load(smoothness_messages, start, lanes)
                            logits = multiply_add(smoothness_weights[p, k], corner, logits)
                    store(block, row + lane, logits)
            for row in range(0, (last - first) * width, width):
                tops = load(block, row, lanes)
                for lane in range(lanes, width, lanes):
                    tops = maximum(tops, load(block, row + lane, lanes))
                top = largest(tops)
                sums = exp_difference(load(block, row, lanes), top)
                store(block, row, sums)
                for lane in range(lanes, width, lanes):
                    exponentials = exp_difference(load(block, row + lane, lanes), top)
                    store(block, row + lane, exponentials)
                    sums = add(sums, exponentials)
                share = np.float32(1) / total(sums)
                for lane in range(0, width, lanes):
                    store(block, row + lane, multiply(share, load(block, row + lane, lanes)))
            if splats:
                for p in range(first, last):
                    row = (p - first) * width
                    for lane in range(0, width, lanes):
                        probabilities = load(block, row + lane, lanes)
                        for k in range(APPEARANCE_CORNERS):
                            start = np.intp(appearance_corners[p, k]) * width + lane
                            corner = load(appearance_sums, start, lanes)
                            store(appearance_sums, start, multiply_add(appearance_weights[p, k], probabilities, corner))
                        for k in range(SMOOTHNESS_CORNERS):
                            start = np.intp(smoothness_corners[p, k]) * width + lane
                            corner = load(smoothness_sums, start, lanes)
                            store(smoothness_sums, start, multiply_add(smoothness_weights[p, k], probabilities, corner))
            for c in range(len(refined)):
                for p in range(first, last):
                    refined[c, p] = block[p - first, c]

    return step


STEPS = {lanes: _stepper(lanes) for lanes in VECTORS}
