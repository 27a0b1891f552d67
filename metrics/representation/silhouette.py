"""How much nearer an image's features lie to their own class than to the next one (Rousseeuw 1987)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from ambench.core import Better

from ._features import Judged, OfFeatures

BLOCK = 1 << 22  # distances in memory at a time


@dataclass(frozen=True)
class Silhouette(OfFeatures):
    """(b - a) / max(a, b), a the mean distance to its class's others, b to the nearest other class's; up, [-1, 1].

    Of all images of the test part together, so that an image's value depends on the others. The only image of a class
    has 0; features that are all the same have 0 and count as no answer. One class, or a class for every image, is
    undefined. Classes of unequal size change it. `distance`: of the features, or 1 less their cosine. `layer`: left
    open, what the last linear layer is given, and without one the default layer averaged over cells; a named one is
    pooled by `pooling`. `labels`: what each image is asked for, if that is one thing; else the class of the cue that
    the network's classes name (`own`), or of the one named.

    >>> points = torch.tensor([[0.0], [1.0], [5.0], [7.0]], dtype=torch.float64)
    >>> [round(value, 4) for value in Silhouette().judge(points, torch.tensor([0, 0, 1, 1])).values.tolist()]
    [0.8333, 0.8, 0.5556, 0.6923]
    """

    better: ClassVar[Better] = "higher"
    range: ClassVar[tuple[float, float]] = (-1.0, 1.0)
    chance: ClassVar[float | None] = 0.0
    citation: ClassVar[str] = "Rousseeuw 1987, J. Comput. Appl. Math. 20"

    distance: Literal["euclidean", "cosine"] = "euclidean"

    def judge(self, found: Tensor, labels: Tensor) -> Judged:
        """Return the silhouette of each image [n]."""
        classes, number = torch.unique(labels, return_inverse=True)
        member = torch.nn.functional.one_hot(number).double()  # [n, K]
        if not 1 < len(classes) < len(labels):
            return Judged(torch.zeros(len(labels), dtype=torch.float64), defined=False)
        size = max(1, BLOCK // len(labels))
        parts = zip(torch.split(found, size), torch.split(member, size), strict=True)
        values = torch.cat(
            [_values(self._distances(block, found) @ member, mine, member.sum(0)) for block, mine in parts]
        )
        return Judged(values, flat=bool((found == found[:1]).all()))

    def _distances(self, some: Tensor, every: Tensor) -> Tensor:
        """Return distances [b, n]; a vector of zeros is at 1 from all others."""
        if self.distance == "cosine":
            one, other = (torch.nn.functional.normalize(part, dim=1, eps=1e-300) for part in (some, every))
            return (1 - one @ other.T).clamp_min(0)
        return torch.cdist(some, every, compute_mode="donot_use_mm_for_euclid_dist")


def _values(totals: Tensor, mine: Tensor, count: Tensor) -> Tensor:
    """Return silhouettes [b] from summed distances to each class [b, K], one-hot classes [b, K] and class sizes [K]."""
    own = mine.bool()
    inside = (totals * mine).sum(1) / ((mine @ count) - 1).clamp_min(1)
    beside = (totals / count).masked_fill(own, torch.inf).amin(1)
    widest = torch.maximum(inside, beside)
    lonely = (mine @ count) == 1
    return torch.where(lonely | (widest == 0), 0.0, (beside - inside) / widest.clamp_min(1e-300))
