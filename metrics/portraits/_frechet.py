"""The distance between two clouds of points taken for Gaussians (Frechet 1957; Dowson & Landau 1982)."""

from __future__ import annotations

import torch
from torch import Tensor


def distance(one: Tensor, other: Tensor) -> Tensor:
    """Return the squared Frechet distance of points [N, C] and [M, C], in their own units squared, at least 0.

    `||difference of means||^2 + trace(A + B - 2 (A B)^(1/2))`, A and B the unbiased covariances.

    >>> points = torch.tensor([[-1.0], [0.0], [1.0]], dtype=torch.float64)
    >>> distance(points, 2 * points + 5).item()  # 5^2 + (2 - 1)^2
    26.0
    """
    root = _root(_covariance(one))
    middle = torch.linalg.eigvalsh(root @ _covariance(other) @ root)  # those of A B
    means = (one.mean(0) - other.mean(0)).square().sum()
    traces = one.var(0).sum() + other.var(0).sum() - 2 * middle.clamp_min(0).sqrt().sum()
    found: Tensor = (means + traces).clamp_min(0)
    return found


def _covariance(points: Tensor) -> Tensor:
    centred = points - points.mean(0)
    return centred.T @ centred / (len(points) - 1)


def _root(matrix: Tensor) -> Tensor:
    """Return the symmetric square root of a covariance."""
    values, vectors = torch.linalg.eigh(matrix)
    root: Tensor = (vectors * values.clamp_min(0).sqrt()) @ vectors.T
    return root
