"""Segmentation by colour alone: the baseline that every network should beat."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from segbench.labels import IGNORE_INDEX

FITTED_PIXELS = 200_000


class ColorClusters(nn.Module):
    """Each pixel gets the class frequencies of its nearest colour cluster.

    The clusters are found by k-means in the RGB colours of training pixels. The frequencies are counted over the same
    pixels, with one pixel of each class added to each cluster, so that no class has probability 0. The model sees
    neither position nor texture nor surroundings, so it fails where classes share a colour.
    """

    centers: Tensor
    log_frequencies: Tensor

    def __init__(self, *, num_classes: int, num_clusters: int) -> None:
        super().__init__()
        self.register_buffer("centers", torch.zeros(num_clusters, 3))
        self.register_buffer("log_frequencies", torch.zeros(num_clusters, num_classes))

    def forward(self, images: Tensor) -> Tensor:
        """images (N, 3, H, W) float in 0..1 -> logits (N, C, H, W), the logarithms of class frequencies"""
        colors = images.permute(0, 2, 3, 1)  # (N, H, W, 3)
        nearest = self._nearest(colors.flatten(1, 2))  # (N, H * W)
        logits = self.log_frequencies[nearest]  # (N, H * W, C)
        return logits.unflatten(1, colors.shape[1:3]).permute(0, 3, 1, 2)

    def _nearest(self, colors: Tensor) -> Tensor:
        """(..., 3) colours -> (...) indices of their clusters"""
        # Without matrix products: their rounding differs between calls, and so would the choice between equal clusters.
        distances = torch.cdist(colors, self.centers, compute_mode="donot_use_mm_for_euclid_dist")
        return distances.argmin(dim=-1)

    def fit(self, colors: NDArray[np.uint8], classes: NDArray[np.uint8], *, seed: int) -> None:
        """Fit to pixels. colors: (P, 3) uint8 RGB; classes: (P,) uint8, pixels at IGNORE_INDEX are dropped."""
        from sklearn.cluster import MiniBatchKMeans

        labelled = np.flatnonzero(classes != IGNORE_INDEX)
        chosen = np.random.default_rng(seed).permutation(labelled)[:FITTED_PIXELS]
        points, labels = colors[chosen] / np.float32(255), classes[chosen]
        num_clusters, num_classes = self.log_frequencies.shape
        clustering = MiniBatchKMeans(num_clusters, batch_size=8192, n_init=3, random_state=seed).fit(points)
        self.centers.copy_(torch.from_numpy(clustering.cluster_centers_))
        counts = np.ones((num_clusters, num_classes))
        np.add.at(counts, (self._nearest(torch.from_numpy(points)).numpy(), labels), 1)
        self.log_frequencies.copy_(torch.from_numpy(np.log(counts / counts.sum(axis=1, keepdims=True))))
