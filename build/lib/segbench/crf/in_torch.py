"""Mean-field inference of the dense CRF in torch, for GPUs and any other device but a CPU.

It builds the same permutohedral lattice as `lattice`, by sorting instead of hashing. Splatting and slicing are sums
of weighted rows: `embedding_bag` computes them without large intermediate tensors and in a fixed order.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from segbench.crf.energy import TOO_FAR, CRFParameters, Floats, appearance_features, negative_unary, positions
from segbench.crf.lattice import LARGEST_KEY
from segbench.errors import InputError
from segbench.images import RGBImage


@torch.inference_mode()
def mean_field(
    image: RGBImage, probabilities: Floats, parameters: CRFParameters, *, steps: Sequence[int], device: torch.device
) -> list[Floats]:
    """The probabilities after each of `steps`. image: (H, W, 3) uint8; probabilities: (C, H, W) float32."""
    smoothness = positions(*image.shape[:2], sigma_xy=parameters.smoothness_sigma_xy)
    kernels = [
        _normalized(torch.from_numpy(features).to(device), weight=weight)
        for features, weight in (
            (appearance_features(image, parameters), parameters.appearance_weight),
            (smoothness, parameters.smoothness_weight),
        )
    ]
    unary = torch.from_numpy(negative_unary(probabilities)).to(device).T.contiguous()
    refined, wanted = unary.softmax(dim=1), []
    for step in range(1, max(steps) + 1):
        refined = (unary + sum(kernel.filtered(refined) for kernel in kernels)).softmax(dim=1)
        if step in steps:
            wanted.append(refined.T.reshape(probabilities.shape).cpu().numpy())
    return wanted


@dataclass(frozen=True)
class _Lattice:
    """Where N points lie among M lattice points. Rows of corner values: row 0 is zero, lattice point i has row i + 1.

    corners, weights: (N, d + 1) rows and weights of the corners of each point's simplex, for slicing.
    points, point_weights: (N * (d + 1),) indices of the points and their weights, sorted by lattice point, to splat.
    starts: (M,) where the entries of each lattice point begin.
    neighbours: (d + 1, 2, M) rows of the two neighbours along each axis.
    """

    corners: Tensor
    weights: Tensor
    points: Tensor
    point_weights: Tensor
    starts: Tensor
    neighbours: Tensor

    def filtered(self, values: Tensor) -> Tensor:
        """Splat, blur and slice: (N, C) values of the points -> (N, C)"""
        splatted = F.embedding_bag(self.points, values, self.starts, mode="sum", per_sample_weights=self.point_weights)
        rows = F.pad(splatted, (0, 0, 1, 0))
        for before, after in self.neighbours:
            rows[1:] += 0.5 * (rows[before] + rows[after])
        return F.embedding_bag(self.corners, rows, mode="sum", per_sample_weights=self.weights)


def _normalized(features: Tensor, *, weight: float) -> _Lattice:
    """The lattice by which `filtered` multiplies with weight * D^-1/2 K D^-1/2. K: the kernel, D: its row sums."""
    lattice = _build(features)
    scale = 1 / (1 + 2.0 ** -features.shape[1])
    row_sums = scale * lattice.filtered(features.new_ones(len(features), 1))[:, 0]
    factors = (scale * weight / row_sums).sqrt()
    return replace(
        lattice,
        weights=lattice.weights * factors[:, None],
        point_weights=lattice.point_weights * factors[lattice.points],
    )


def _build(features: Tensor) -> _Lattice:
    """The lattice of (N, d) float32 positions in units of the Gaussian's standard deviation"""
    num_points, d = features.shape
    axes = torch.arange(d + 1, device=features.device)
    # elevate: into the plane of d + 1 coordinates that sum to zero
    numbers = torch.arange(1, d + 1, dtype=torch.float64, device=features.device)
    scaled = features * ((2 / 3) ** 0.5 * (d + 1) / (numbers * (numbers + 1)).sqrt()).float()
    sums_of_later = F.pad(scaled.flip(1).cumsum(1).flip(1), (0, 1))
    elevated = sums_of_later - axes * F.pad(scaled, (1, 0))
    # round to the nearest multiples of d + 1; their sum is then made zero where rounding changed most
    above, below = ((elevated / (d + 1)).ceil(), (elevated / (d + 1)).floor())
    multiples = torch.where(above * (d + 1) - elevated < elevated - below * (d + 1), above, below)
    rest = elevated - multiples * (d + 1)
    is_less = rest[:, :, None] < rest[:, None, :]
    is_later = axes[:, None] < axes
    ranks = (is_less & is_later).sum(2) + (~is_less & is_later).sum(1) + multiples.sum(1, keepdim=True).long()
    wraps = (ranks < 0).long() - (ranks > d).long()
    ranks += (d + 1) * wraps
    origins = (d + 1) * (multiples.long() + wraps)
    shares = (elevated - origins) / (d + 1)
    weights = shares.new_zeros(num_points, d + 2)
    weights.scatter_add_(1, d - ranks, shares).scatter_add_(1, d - ranks + 1, -shares)
    weights[:, 0] += 1 + weights[:, d + 1]
    weights = weights[:, : d + 1].contiguous()

    has_shrunk = ranks[:, None, :] > d - axes[:, None]
    coordinates = (origins[:, None, :] + axes[:, None] - (d + 1) * has_shrunk)[..., :d]  # (N, d + 1 corners, d)
    low, high = coordinates.amin((0, 1)) - d - 1, coordinates.amax((0, 1)) + d + 1
    radices = [1]
    for size in (high - low + 1).tolist():
        radices.append(radices[-1] * size)
    if radices[-1] > LARGEST_KEY:
        raise InputError(TOO_FAR)
    digits = torch.tensor(radices[:-1], device=features.device)
    keys, corners = torch.unique(((coordinates - low) * digits).sum(2), return_inverse=True)
    offsets = digits.sum() - (d + 1) * F.pad(digits, (0, 1))
    order = corners.flatten().argsort(stable=True)
    counts = torch.bincount(corners.flatten(), minlength=len(keys))
    return _Lattice(
        corners=corners + 1,
        weights=weights,
        points=order // (d + 1),
        point_weights=weights.flatten()[order],
        starts=counts.cumsum(0) - counts,
        neighbours=torch.stack([_rows(torch.stack([keys - offset, keys + offset]), keys) for offset in offsets]),
    )


def _rows(wanted: Tensor, keys: Tensor) -> Tensor:
    """The rows of the wanted keys among the sorted `keys`, 0 for those that are missing"""
    places = torch.searchsorted(keys, wanted).clamp(max=len(keys) - 1)
    return torch.where(keys[places] == wanted, places + 1, 0)
