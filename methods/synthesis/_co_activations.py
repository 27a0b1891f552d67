"""Which shallow features occur together in natural images: a Gaussian of pooled features, and how far one lies off it.

After a draft by M. Mongia, which proposes the joint statistics of shallow features as a prior; ours in its details.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.covariance import LedoitWolf
from torch import Tensor

FLOOR = 1e-6  # of the mean variance: what never varies in natural images is taken to vary by this much
QUANTILE = 0.99
HELD_OUT = 4  # every fourth image says how far natural images lie off


@dataclass(frozen=True, eq=False)
class CoActivations:
    """A Gaussian over features h [D]: mean [D], precision [D, D]; 99 % of natural images lie within `usual`."""

    mean: Tensor
    precision: Tensor
    usual: Tensor

    @staticmethod
    def of(natural: Tensor) -> CoActivations:
        """Return the shrunk Gaussian of natural features [N, D] (Ledoit & Wolf 2004), its range from held-out ones."""
        held_out = torch.arange(len(natural)) % HELD_OUT == HELD_OUT - 1
        learnt = natural[~held_out].double().cpu()
        fitted = LedoitWolf().fit(learnt.numpy())
        found = CoActivations(torch.as_tensor(fitted.location_), _inverse(fitted.covariance_), torch.zeros(()))
        others = natural[held_out].double().cpu() if held_out.any() else learnt
        return CoActivations(found.mean, found.precision, found.distance(others).quantile(QUANTILE))

    def to(self, like: Tensor) -> CoActivations:
        """Return the same in another tensor's precision and place."""
        return CoActivations(*(part.to(like) for part in (self.mean, self.precision, self.usual)))

    def distance(self, features: Tensor) -> Tensor:
        """Return the squared Mahalanobis distance of features [P, D] from the mean [P].

        >>> CoActivations(torch.zeros(2), torch.eye(2), torch.zeros(())).distance(torch.tensor([[3.0, 4.0]]))
        tensor([25.])
        """
        off = features - self.mean
        return ((off @ self.precision) * off).sum(1)

    def conditional_scores(self, features: Tensor) -> Tensor:
        """Return how many deviations each feature lies above what all others let expect [P, D]."""
        return ((features - self.mean) @ self.precision) / self.precision.diagonal().sqrt()

    def conditional_deviations(self) -> Tensor:
        """Return the standard deviation of each feature given all others [D]."""
        return self.precision.diagonal().rsqrt()


def _inverse(covariance: np.ndarray) -> Tensor:
    """Return the inverse of a covariance [D, D], which varies at least a little in every direction."""
    values, axes = torch.linalg.eigh(torch.as_tensor(covariance))
    least = max(FLOOR * float(values.mean()), torch.finfo(values.dtype).tiny ** 0.5)
    inverse: Tensor = (axes / values.clamp_min(least)) @ axes.T
    return inverse


def pooled(grid: Tensor, parts: int) -> Tensor:
    """Return a grid [N, C, *cells] averaged over `parts` regions a side, flattened [N, C parts^n].

    >>> pooled(torch.arange(4.0).view(1, 1, 2, 2), 1)
    tensor([[1.5000]])
    """
    for axis in range(2, grid.ndim):  # an axis at a time: the mean over a region is the mean of its rows' means
        regions = F.adaptive_avg_pool1d(grid.movedim(axis, -1).flatten(1, -2), min(parts, grid.shape[axis]))
        moved = grid.movedim(axis, -1).shape[1:-1]
        grid = regions.view(len(grid), *moved, -1).movedim(-1, axis)
    return grid.flatten(1)
