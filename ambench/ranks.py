"""Which methods are best, with ties: the pairs of one family that differ after Holm, and how far each rank can move."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from ambench.clusters import FEWEST, Clusters, Floats, common
from ambench.core import InputError
from ambench.resampling import CONFIDENCE, Key, extreme_share, flipped_sums, flips_for, resampled_means
from ambench.statistics import holm


@dataclass(frozen=True)
class Rank:
    """A method's mean over the common images, its rank (1 is best, equals share) with 95 % range, and group of ties."""

    method: str
    mean: float
    rank: float
    low: float
    high: float
    group: int


@dataclass(frozen=True, eq=False)
class Family:
    """All pairs of methods within one metric, model and dataset, on the images that every method has.

    names [M]; shares and influence [n, M] (see `Clusters`); p [M, M] after Holm, 1 on the diagonal; `sign` is 1 where
    higher is better and -1 where lower is.
    """

    names: tuple[str, ...]
    shares: Floats
    influence: Floats
    p: Floats
    sign: int
    key: Key

    @property
    def n(self) -> int:
        """How many images the family was compared on."""
        return len(self.shares)

    def differ(self, first: str, second: str, alpha: float = 0.05) -> bool:
        """Say whether two methods differ after Holm."""
        return bool(self.p[self.names.index(first), self.names.index(second)] < alpha)

    def ranks(self, among: Collection[str] | None = None) -> list[Rank]:
        """Return the ranks of some of the methods (None: all), best first.

        A group of ties is a run of neighbours in which no pair differs; a rank's range comes from resampled images.
        """
        chosen = [i for i, name in enumerate(self.names) if among is None or name in among]
        means = self.sign * self.shares[:, chosen].mean(0)
        ranks = rankdata(-means, method="average")
        low, high = self._range(chosen)
        order = sorted(range(len(chosen)), key=lambda i: (ranks[i], self.names[chosen[i]]))
        groups = self._groups([chosen[i] for i in order])
        return [
            Rank(self.names[chosen[i]], self.sign * float(means[i]), float(ranks[i]), low[i], high[i], group)
            for i, group in zip(order, groups, strict=True)
        ]

    def _groups(self, order: list[int]) -> list[int]:
        groups: list[int] = []
        begin = 0
        for place, method in enumerate(order):
            if any(self.p[method, other] < 1 - CONFIDENCE for other in order[begin:place]):
                begin = place
            groups.append(groups[-1] + (begin == place) if groups else 1)
        return groups

    def _range(self, chosen: list[int]) -> tuple[list[float], list[float]]:
        if self.n < FEWEST:
            return [1.0] * len(chosen), [float(len(chosen))] * len(chosen)
        columns = self.influence[:, chosen]
        replicates = self.sign * resampled_means(columns, np.ones_like(columns), self.key)  # [9999, M]
        ranks = rankdata(-np.round(replicates, 12), method="average", axis=1)  # rounding must not break ties
        low, high = np.quantile(ranks, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2], axis=0)
        return low.tolist(), high.tolist()


def family(values: Mapping[str, Clusters], better: str, key: Key) -> Family:
    """Return the family of methods with these values, gathered by image; `better` is `higher` or `lower`.

    Raises InputError for a metric without a direction.

    >>> values = {"a": Clusters.of([0.9, 0.8, 0.9]), "b": Clusters.of([0.1, 0.2, 0.1])}
    >>> [rank.method for rank in family(values, "higher", key=(0,)).ranks()]
    ['a', 'b']
    """
    if better not in ("higher", "lower"):
        raise InputError("a metric without a better direction cannot rank methods")
    gathered = common(list(values.values()))
    shares = np.stack([clusters.shares() for clusters in gathered], axis=1)  # [n, M]
    influence = np.stack([clusters.influence() for clusters in gathered], axis=1)
    return Family(tuple(values), shares, influence, _pairs(shares, key), 1 if better == "higher" else -1, key)


def _pairs(shares: Floats, key: Key) -> NDArray[np.float64]:
    """Holm-adjusted p of all pairs [M, M]: flips are linear, so M products serve M (M - 1) / 2 pairs."""
    n, methods = shares.shape
    adjusted = np.ones((methods, methods))
    if n == 0 or methods < 2:
        return adjusted
    first, second = np.array(list(combinations(range(methods), 2))).T
    flipped = flipped_sums(shares, key, flips_for(len(first)))
    raw = [
        extreme_share(flipped[:, i] - flipped[:, j], float((shares[:, i] - shares[:, j]).sum()), n)
        for i, j in zip(first, second, strict=True)
    ]
    adjusted[first, second] = adjusted[second, first] = holm(raw)
    return adjusted
