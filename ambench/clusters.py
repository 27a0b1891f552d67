"""Per-image values gathered by image: all that an image has, over concepts and restarts, is drawn and flipped together.

Pooled means give each concept the same weight; where most concepts have fewer than 5 images, they average images.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ambench.core import InputError

FEWEST = 5  # no interval from fewer images

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Clusters:
    """Sums and counts [n, K] of the defined values of each image and concept; ids [n] are sorted and unique."""

    ids: NDArray[np.str_]
    sums: Floats
    counts: Floats

    @staticmethod
    def of(values: ArrayLike, ids: Sequence[str] | None = None) -> Clusters:
        """Return values [n] of one concept, one an image.

        >>> Clusters.of([0.25, 0.75]).pooled()
        0.5
        """
        column = np.asarray(values, dtype=np.float64)
        names = [f"{i:09d}" for i in range(len(column))] if ids is None else ids
        return pool(column, np.ones(len(column), bool), np.zeros(len(column), np.int64), names, 1)

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def images(self) -> NDArray[np.int64]:
        """How many images each concept has [K]."""
        return np.asarray((self.counts > 0).sum(0), np.int64)

    @property
    def by_image(self) -> bool:
        """Whether the pooled mean averages images, because most concepts have too few for a mean of their own."""
        images = self.images
        return bool(np.median(images[images > 0]) < FEWEST) if images.any() else True

    def means(self) -> Floats:
        """Return each image's own mean of each concept [n, K], 0 where there is none."""
        return ratio(self.sums, self.counts, 0.0)

    def concept_means(self) -> Floats:
        """Return the mean of each concept that has values [at most K]."""
        totals = self.counts.sum(0)
        return ratio(self.sums.sum(0)[totals > 0], totals[totals > 0])

    def shares(self) -> Floats:
        """Return n times what each image adds to the pooled mean [n]: their plain mean is the pooled mean."""
        if self.by_image:
            return ratio(self.means().sum(1), (self.counts > 0).sum(1).astype(np.float64))
        totals = self.counts.sum(0)
        return _mean_of_columns(len(self) * self.sums[:, totals > 0] / totals[totals > 0])

    def pooled(self) -> float | None:
        """Return the pooled mean, None without any value."""
        if not len(self):
            return None
        return float(self.shares().mean() if self.by_image else self.concept_means().mean())

    def influence(self) -> Floats:
        """Return numbers [n] with the pooled mean whose resampled means are, to first order, those of the pooled mean.

        Unlike `shares`, an image does not pull the mean up only because more concepts are asked of it.
        """
        if self.by_image:
            return self.shares()
        totals = self.counts.sum(0)
        sums, counts, means = self.sums[:, totals > 0], self.counts[:, totals > 0], self.concept_means()
        return _mean_of_columns(means + len(self) * (sums - counts * means) / totals[totals > 0])

    def among(self, ids: NDArray[np.str_], entries: NDArray[np.bool_]) -> Clusters:
        """Return the own means of some images at some entries [len(ids), K]; images without an entry are dropped."""
        kept = entries.any(1)
        means = np.where(entries, self.means()[np.searchsorted(self.ids, ids)], 0.0)
        return Clusters(ids[kept], means[kept], entries[kept].astype(np.float64))


def _mean_of_columns(table: Floats) -> Floats:
    return np.asarray(table.mean(1), np.float64)


def ratio(sums: Floats, counts: Floats, otherwise: float = np.nan) -> Floats:
    """Return sums / counts, and `otherwise` where nothing was counted."""
    return np.divide(sums, counts, out=np.full_like(sums, otherwise), where=counts > 0)


def pool(
    values: Floats, defined: NDArray[np.bool_], concepts: NDArray[np.int64], ids: Sequence[str], n_concepts: int
) -> Clusters:
    """Return values [m] of concepts [m] (0 … K - 1) gathered by id [m]; images without any defined value are dropped.

    Raises InputError with the id of a defined value that is not finite.
    """
    broken = defined & ~np.isfinite(values)
    if broken.any():
        raise InputError(
            f"the value of '{ids[int(broken.argmax())]}' is not finite; mark it undefined or give a number"
        )
    names, rows = np.unique(np.asarray(ids, dtype=np.str_), return_inverse=True)
    return pool_sorted(values, defined, concepts, names, rows, n_concepts)


def pool_sorted(
    values: Floats,
    defined: NDArray[np.bool_],
    concepts: NDArray[np.int64],
    names: NDArray[np.str_],
    rows: NDArray[np.int64],
    n_concepts: int,
) -> Clusters:
    """Return the same as `pool`, of values [m] whose ids are known as rows [m] of sorted, unique names [n]."""
    sums, counts = np.zeros((2, len(names), n_concepts))
    np.add.at(sums, (rows[defined], concepts[defined]), values[defined])
    np.add.at(counts, (rows[defined], concepts[defined]), 1)
    kept = counts.any(1)
    return Clusters(names[kept], sums[kept], counts[kept])


def common(several: Sequence[Clusters]) -> list[Clusters]:
    """Return the same gathered values, of the images and concepts that all of them have."""
    ids = several[0].ids
    for clusters in several[1:]:
        ids = np.intersect1d(ids, clusters.ids)
    shared = [clusters.counts[np.searchsorted(clusters.ids, ids)] > 0 for clusters in several]
    entries = np.logical_and.reduce(shared)
    return [clusters.among(ids, entries) for clusters in several]


def difference(first: Clusters, second: Clusters) -> Clusters:
    """Return second minus first, image by image and concept by concept, where both have a value."""
    a, b = common([first, second])  # an image of both sides may still have no concept of both
    return Clusters(a.ids, b.sums - a.sums, a.counts)
