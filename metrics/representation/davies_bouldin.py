"""How wide classes are for the distance between their centres (Davies & Bouldin 1979)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ambench.core import Better

from ._directions import Means
from ._features import Judged, OfFeatures
from ._pull import pulled


@dataclass(frozen=True)
class DaviesBouldin(OfFeatures):
    """Mean over classes of the worst (s_i + s_j) / d_ij, s a class's mean distance to its centre; down, from 0 up.

    d is the distance of two centres. One number for all images: each image's own is that number with its pull on it,
    so that the mean is the index and the interval that over images. Features that tell no two classes apart have no
    index, and neither has one class (scikit-learn gives features that are all the same 0, the best there is): read it
    beside `class_accuracy`. `layer`, `pooling` and `labels` as in `silhouette`.

    >>> points = torch.tensor([[0.0], [2.0], [6.0], [10.0]], dtype=torch.float64)
    >>> round(DaviesBouldin().judge(points, torch.tensor([0, 0, 1, 1])).values.mean().item(), 6)  # (1 + 2) / 7
    0.428571
    """

    better: ClassVar[Better] = "lower"
    range: ClassVar[tuple[float, float]] = (0.0, math.inf)
    citation: ClassVar[str] = "Davies & Bouldin 1979, IEEE TPAMI 1"

    def judge(self, found: Tensor, labels: Tensor) -> Judged:
        """Return the index with each image's pull on it [n]."""
        means = Means.of(found, labels)
        spread = _spreads(means)
        value = float(_index(spread, torch.cdist(means.each, means.each, compute_mode=_EXACT)))
        if not math.isfinite(value):
            return Judged(torch.zeros(len(labels), dtype=torch.float64), defined=False)
        without = torch.empty(len(labels), dtype=torch.float64, device=found.device)
        for k in range(len(means.each)):
            without[means.labels == k] = _without_one_of(means, spread, k)
        return Judged(pulled(value, without))


_EXACT = "donot_use_mm_for_euclid_dist"


def _spreads(means: Means) -> Tensor:
    """Return each class's mean distance to its centre [K]."""
    distance = (means.features - means.each[means.labels]).norm(dim=1)
    return torch.zeros_like(means.count).index_add_(0, means.labels, distance) / means.count


def _index(spread: Tensor, distance: Tensor) -> Tensor:
    """Return the index [...] of spreads [..., K] and distances of centres [..., K, K]; infinite where some coincide."""
    classes = spread.shape[-1]
    if classes < 2:
        return torch.full(spread.shape[:-1], torch.inf, dtype=spread.dtype)
    itself = torch.eye(classes, dtype=torch.bool, device=spread.device)
    touching = (distance == 0) & ~itself
    ratio = (spread[..., :, None] + spread[..., None, :]) / distance.masked_fill(touching | itself, 1.0)
    return ratio.masked_fill(itself, -torch.inf).masked_fill(touching, torch.inf).amax(-1).mean(-1)


def _without_one_of(means: Means, spread: Tensor, k: int) -> Tensor:
    """Return the index without each image of class k in turn [n_k]."""
    own, n = means.features[means.labels == k], int(means.count[k])
    others = torch.arange(len(means.each), device=own.device) != k
    if n == 1:
        centres = means.each[others]
        return _index(spread[others], torch.cdist(centres, centres, compute_mode=_EXACT))[None]
    centre = (n * means.each[k] - own) / (n - 1)  # [n, F]
    apart = torch.cdist(centre, own, compute_mode=_EXACT)
    spreads = spread.expand(n, -1).clone()
    spreads[:, k] = (apart.sum(1) - apart.diagonal()) / (n - 1)
    distance = torch.cdist(means.each, means.each, compute_mode=_EXACT).expand(n, -1, -1).clone()  # [n, K, K]
    moved = torch.cdist(centre, means.each, compute_mode=_EXACT)  # [n, K]
    moved[:, k] = 0
    distance[:, k], distance[:, :, k] = moved, moved
    return _index(spreads, distance)
