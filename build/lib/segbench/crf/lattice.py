"""Permutohedral lattice: Gaussian filtering of many channels, on CPUs, in time linear in the number of points.

Adams, Baek, Davis: Fast high-dimensional filtering using the permutohedral lattice, Eurographics 2010. A point in d
dimensions lies in a simplex of the lattice. Its value is splatted to the simplex's d + 1 corners, the corners are
blurred along d + 1 axes, and the point's filtered value is sliced from its corners.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from segbench.crf.compiling import compiled
from segbench.crf.energy import TOO_FAR, Floats
from segbench.crf.lanes import add, load, multiply_add, store
from segbench.errors import InputError

Indices = NDArray[np.int32]

FREE = 0
FIRST_CAPACITY = 1 << 14
LARGEST_KEY = 2**62
VECTORS = (8, 16)
"""How many channels are taken at a time. A CPU without such wide registers takes them in parts."""


class Lattice(NamedTuple):
    """Where N points lie among M lattice points. Rows of corner values: row 0 is zero, lattice point i has row i + 1.

    corners, weights: (N, d + 1) rows and barycentric weights of the corners of each point's simplex.
    chains: rows of neighbours in a line, for one axis after the other; row 0 ends each line.
    num_rows: M + 1.
    """

    corners: Indices
    weights: Floats
    chains: Indices
    num_rows: int


def normalized(features: Floats, *, weight: float) -> Lattice:
    """The lattice by which splat, blur and slice multiply with weight * D^-1/2 K D^-1/2.

    features: (N, d) float32 positions in units of the Gaussian's standard deviation; d is 2 or 5. K: the Gaussian
    kernel between all points, D: its row sums. Raises InputError if the positions are too far apart.
    """
    lattice = build(features)
    d = features.shape[1]
    scale = 1 / (1 + 2.0**-d)  # of Adams et al.: the weights of a blur then sum to about one
    row_sums = scale * _filter_ones(*lattice)
    factors = np.sqrt(scale * weight / row_sums).astype(np.float32)
    return lattice._replace(weights=lattice.weights * factors[:, None])


def build(features: Floats) -> Lattice:
    """The lattice of (N, d) float32 positions in units of the Gaussian's standard deviation; d is 2 or 5"""
    d = features.shape[1]
    origins, ranks, weights, low, high = _FIND_SIMPLICES[d](features)
    low, high = low - 2 * (d + 1), high + 2 * (d + 1)  # room for corners and their neighbours
    sizes = [int(size) for size in high - low + 1]
    radices = [1]  # a key has one digit per coordinate, without the last, which follows from the others
    for size in sizes[:-1]:
        radices.append(radices[-1] * size)
    if radices[-1] * sizes[-1] > LARGEST_KEY:
        raise InputError(TOO_FAR)
    digits = np.array([*radices, 0], np.int64)
    corners, keys, table = _number_corners(origins, ranks, low, digits)
    return Lattice(corners, weights, _link(_find_neighbours(keys, table, digits)), len(keys) + 1)


def _simplex_finder(d):
    """`find`, compiled for one d, so that the loops over coordinates are unrolled."""

    @compiled
    def find(features):
        """(N, d) -> (N, d) origins, (N, d + 1) ranks of coordinates, (N, d + 1) weights, least and largest origin"""
        n = len(features)
        origins = np.empty((n, d), np.int32)
        ranks = np.empty((n, d + 1), np.int8)
        weights = np.empty((n, d + 1), np.float32)
        low, high = np.zeros(d, np.int64), np.zeros(d, np.int64)
        scale = np.empty(d, np.float32)
        for i in range(d):
            scale[i] = np.sqrt(2.0 / 3.0) * (d + 1) / np.sqrt((i + 1.0) * (i + 2.0))
        up, down = np.float32(d + 1), np.float32(1.0 / (d + 1))
        elevated = np.empty(d + 1, np.float32)
        rest = np.empty(d + 1, np.float32)
        origin = np.empty(d + 1, np.int32)
        rank = np.empty(d + 1, np.int32)
        barycentric = np.empty(d + 2, np.float32)
        for p in range(n):
            # elevate: into the plane of d + 1 coordinates that sum to zero
            sum_of_later = np.float32(0)
            for i in range(d, 0, -1):
                scaled = features[p, i - 1] * scale[i - 1]
                elevated[i] = sum_of_later - np.float32(i) * scaled
                sum_of_later += scaled
            elevated[0] = sum_of_later
            # round to the nearest multiples of d + 1; their sum is then made zero where rounding changed most
            excess = np.int32(0)
            for i in range(d + 1):
                multiple = elevated[i] * down
                above, below = np.ceil(multiple), np.floor(multiple)
                nearest = above if above * up - elevated[i] < elevated[i] - below * up else below
                origin[i] = np.int32(nearest * up)
                rest[i] = elevated[i] - nearest * up
                excess += np.int32(nearest)
                rank[i] = 0
            for i in range(d):
                for j in range(i + 1, d + 1):
                    is_less = rest[i] < rest[j]
                    rank[i] += is_less
                    rank[j] += not is_less
            barycentric[:] = 0
            for i in range(d + 1):
                rank[i] += excess
                if rank[i] < 0:
                    rank[i] += d + 1
                    origin[i] += d + 1
                elif rank[i] > d:
                    rank[i] -= d + 1
                    origin[i] -= d + 1
                share = (elevated[i] - np.float32(origin[i])) * down
                barycentric[d - rank[i]] += share
                barycentric[d - rank[i] + 1] -= share
            barycentric[0] += np.float32(1) + barycentric[d + 1]
            for i in range(d + 1):
                weights[p, i] = barycentric[i]
                ranks[p, i] = rank[i]
            for i in range(d):
                origins[p, i] = origin[i]
                low[i], high[i] = min(low[i], origin[i]), max(high[i], origin[i])
        return origins, ranks, weights, low, high

    return find


_FIND_SIMPLICES = {d: _simplex_finder(d) for d in (2, 5)}


@compiled
def _slot(table, key):
    """The slot of the hash table that has a key, or the free slot that it belongs in."""
    mask = len(table) - 1
    slot = np.int64((np.uint64(key) * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(32)) & mask
    while table[slot, 1] != FREE and table[slot, 0] != key:
        slot = (slot + 1) & mask
    return slot


@compiled
def _number_corners(origins, ranks, low, digits):
    """Returns (N, d + 1) rows of corners, (M,) keys in the order of their rows, and the hash table.

    The table has a key and its row side by side, where row 0 stands for a free slot; at least half its slots are free.
    """
    n, d = origins.shape
    corners = np.empty((n, d + 1), np.int32)
    keys = np.empty(FIRST_CAPACITY, np.int64)
    table = np.zeros((2 * len(keys), 2), np.int64)
    num_keys = 0
    step = digits.sum()
    digit_of_rank = np.empty(d + 1, np.int64)
    key_before = np.int64(-1)
    for p in range(n):
        key = np.int64(0)
        for i in range(d):
            key += (origins[p, i] - low[i]) * digits[i]
        is_same = key == key_before
        key_before = key
        for i in range(d + 1):
            digit_of_rank[ranks[p, i]] = digits[i]
            is_same = is_same and ranks[p, i] == ranks[p - 1, i]
        if is_same:  # the simplex of the pixel before
            for corner in range(d + 1):
                corners[p, corner] = corners[p - 1, corner]
            continue
        for corner in range(d + 1):
            if corner:  # all coordinates grow by one, but the largest that has not yet shrunk shrinks by d
                key += step - (d + 1) * digit_of_rank[d + 1 - corner]
            slot = _slot(table, key)
            if table[slot, 1] == FREE:
                if num_keys == len(keys):
                    keys = np.concatenate((keys, np.empty_like(keys)))
                    table = np.zeros((2 * len(keys), 2), np.int64)
                    for number in range(num_keys):
                        slot = _slot(table, keys[number])
                        table[slot, 0], table[slot, 1] = keys[number], number + 1
                    slot = _slot(table, key)
                keys[num_keys] = key
                num_keys += 1
                table[slot, 0], table[slot, 1] = key, num_keys
            corners[p, corner] = table[slot, 1]
    return corners, keys[:num_keys], table


@compiled
def _find_neighbours(keys, table, digits):
    """Returns (d + 1, M + 1) rows: the next neighbour of each row along each axis, 0 where there is none"""
    num_axes, num_keys = len(digits), len(keys)
    following = np.zeros((num_axes, num_keys + 1), np.int32)
    step = digits.sum()
    for axis in range(num_axes):
        offset = step - num_axes * digits[axis]
        for number in range(num_keys):
            following[axis, number + 1] = table[_slot(table, keys[number] + offset), 1]
    return following


@compiled
def _link(following):
    """Next neighbours -> chains. A row without neighbours along an axis is in none: the blur does not change it."""
    num_axes, num_rows = following.shape
    chains = np.empty(num_axes * num_rows * 3 // 2, np.int32)  # at most one end per two rows
    is_first = np.empty(num_rows, np.bool_)
    end = 0
    for axis in range(num_axes):
        is_first[:] = True
        for row in range(1, num_rows):
            is_first[following[axis, row]] = False
        for first in range(1, num_rows):
            if is_first[first] and following[axis, first]:
                row = first
                while row:
                    chains[end] = row
                    row = following[axis, row]
                    end += 1
                chains[end] = 0
                end += 1
    return chains[:end].copy()


def _blurrer(lanes):
    """`blur`, compiled for values of so many lanes."""

    @compiled
    def blur(values, chains):
        """Add half of its two neighbours to each row, along one axis after the other, in place.

        values: (M + 1, C), where row 0 is zero and C a multiple of the lanes.
        """
        width = values.shape[1]
        for lane in range(0, width, lanes):
            nothing = load(values, lane, lanes)
            before = nothing
            for position in range(len(chains)):
                start = np.intp(chains[position]) * width + lane
                if chains[position] == 0:
                    before = nothing
                else:
                    value = load(values, start, lanes)
                    after = load(values, np.intp(chains[position + 1]) * width + lane, lanes)
                    store(values, start, multiply_add(np.float32(0.5), add(before, after), value))
                    before = value

    return blur


BLURS = {lanes: _blurrer(lanes) for lanes in VECTORS}


@compiled
def _filter_ones(corners, weights, chains, num_rows):
    """Splat, blur and slice ones: (N,) float32 row sums of the kernel"""
    n, num_corners = corners.shape
    values = np.zeros(num_rows, np.float32)
    for p in range(n):
        for k in range(num_corners):
            values[corners[p, k]] += weights[p, k]
    before = np.float32(0)
    for position in range(len(chains)):
        row = chains[position]
        value = values[row]
        if row:
            values[row] += np.float32(0.5) * (before + values[chains[position + 1]])
        before = value
    sums = np.zeros(n, np.float32)
    for p in range(n):
        for k in range(num_corners):
            sums[p] += weights[p, k] * values[corners[p, k]]
    return sums
