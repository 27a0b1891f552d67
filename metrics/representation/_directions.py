"""The direction in which each class's mean lies from the mean of all, and how directions lie to one another."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from ._pull import pulled

BLOCK = 1 << 22  # numbers in memory at a time
SHORTEST = 1e-12  # relative to the features: shorter ones are no direction


@dataclass(frozen=True, eq=False)
class Means:
    """Of features [n, F]: the mean of each of K classes [K, F], of all [F], and how many images each has [K]."""

    features: Tensor
    labels: Tensor
    each: Tensor
    whole: Tensor
    count: Tensor

    @staticmethod
    def of(features: Tensor, labels: Tensor) -> Means:
        """Return the means of the classes that occur, in the order of their numbers."""
        _, number = torch.unique(labels, return_inverse=True)
        member = torch.nn.functional.one_hot(number).to(features)  # [n, K]
        count = member.sum(0)
        return Means(features, number, member.T @ features / count[:, None], features.mean(0), count)

    def directions(self) -> Tensor:
        """Return the unit vectors from the mean of all to each class's [K, F]; zero where there is no way between."""
        return self._normalised(self.each - self.whole)

    def without_each(self) -> Iterator[Tensor]:
        """Yield the same directions with each image left out in turn [b, K, F], some images at a time."""
        size = max(1, BLOCK // max(1, self.each.numel()))
        for x, k in zip(torch.split(self.features, size), torch.split(self.labels, size), strict=True):
            rows = torch.arange(len(x), device=x.device)
            n, m = self.count[k][:, None], len(self.features)
            each = self.each.expand(len(x), -1, -1).clone()
            each[rows, k] = torch.where(n > 1, (n * self.each[k] - x) / (n - 1).clamp_min(1), torch.nan)
            whole = (m * self.whole - x) / max(1, m - 1)
            yield self._normalised((each - whole[:, None]).nan_to_num())

    def _normalised(self, vectors: Tensor) -> Tensor:
        length = vectors.norm(dim=-1, keepdim=True)
        scale = self.features.norm(dim=1).max().clamp_min(1e-300)
        return torch.where(length > SHORTEST * scale, vectors / length.clamp_min(1e-300), torch.zeros_like(vectors))


def of_classes(features: Tensor, labels: Tensor, statistic: Callable[[Tensor], Tensor]) -> Tensor:
    """Return a statistic of the class directions, [..., K, F] -> [...], as a number for each image [n]."""
    means = Means.of(features, labels)
    value = float(statistic(means.directions()[None])[0])
    return pulled(value, torch.cat([statistic(part) for part in means.without_each()]))


def cosines(vectors: Tensor) -> tuple[Tensor, Tensor]:
    """Return the cosines of all pairs of unit vectors [..., K, F] as [..., K, K], and which pairs count.

    A vector has no pair with itself, and a zero vector none at all.
    """
    there = vectors.any(-1)
    pairs = there[..., :, None] & there[..., None, :]
    pairs = pairs & ~torch.eye(vectors.shape[-2], dtype=torch.bool, device=vectors.device)
    return vectors @ vectors.mT, pairs
