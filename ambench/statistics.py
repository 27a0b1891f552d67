"""How sure a number is: means with intervals over images, paired tests, and ranks with ties. No files are read here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import t as student

from ambench.clusters import FEWEST, Clusters, Floats, pool, ratio
from ambench.core import InputError
from ambench.record import ALL
from ambench.resampling import CONFIDENCE, Key, bca, extreme_share, flipped_sums, flips_for, resampled_means


@dataclass(frozen=True)
class Summary:
    """A mean with its 95 % interval (None: nothing varies, or n < 5), n images, and pairs without truth or answer."""

    value: float | None
    ci_low: float | None
    ci_high: float | None
    n: int
    n_undefined: int = 0
    n_flat: int = 0


def middle(values: ArrayLike, defined: ArrayLike) -> Summary:
    """Return the median of a cost's repeats, which one slow repeat does not move, without an interval.

    >>> middle([[1.0], [2.0], [90.0]], [[True], [True], [True]]).value
    2.0
    """
    known = np.asarray(values, dtype=np.float64)[np.asarray(defined, dtype=bool)]
    missing = int(np.asarray(defined).size - known.size)
    return Summary(float(np.median(known)) if known.size else None, None, None, known.size, missing)


def summarise(
    values: ArrayLike,
    defined: ArrayLike,
    concepts: ArrayLike,
    ids: Sequence[str],
    names: Sequence[str],
    key: Key,
    flat: ArrayLike | None = None,
) -> dict[str, Summary]:
    """Return the mean of each concept asked and, under `all`, their mean, with BCa intervals over images.

    values, defined, flat [n, T]; concepts [n, T] numbers into `names`; ids [n], equal ones are one image. 9,999
    resamples drawn by `key`; the order of the rows does not matter. Raises InputError for a defined value that is
    not finite.

    >>> summaries = summarise([[0.0], [1.0]], [[True], [True]], [[0], [0]], ["a", "b"], ["ring"], key=(0,))
    >>> summaries["all"].value, summaries["ring"].n, summaries["all"].ci_low
    (0.5, 2, None)
    """
    if ALL in names and len(names) > 1:
        raise InputError(f"a concept cannot be called '{ALL}': that is the name of the mean over concepts")
    numbers, known, asked = np.asarray(values, np.float64), np.asarray(defined, bool), np.asarray(concepts, np.int64)
    silent = known & np.asarray(False if flat is None else flat, bool)
    images = np.repeat(np.asarray(ids, dtype=np.str_), asked.shape[1]).tolist()
    clusters = pool(numbers.ravel(), known.ravel(), asked.ravel(), images, len(names))
    undefined, answerless = _tally(asked[~known], len(names)), _tally(asked[silent], len(names))
    scored = set(np.unique(asked).tolist())
    rows = zip([*names, ALL], range(len(names) + 1), _rows(clusters, key), undefined, answerless, strict=True)
    return {name: Summary(*found, u, f) for name, k, found, u, f in rows if name == ALL or k in scored}


def summarise_pooled(clusters: Clusters, key: Key) -> Summary:
    """Return the pooled mean of values gathered by image, with its interval."""
    intervals = _intervals(clusters, key, pooled_only=True) if len(clusters) >= FEWEST else {}
    low, high = intervals.get(clusters.counts.shape[1], (None, None))
    return Summary(clusters.pooled(), low, high, len(clusters))


_Row = tuple[float | None, float | None, float | None, int]  # value, interval, n


def _tally(concepts: NDArray[np.int64], n_concepts: int) -> list[int]:
    """How often each concept occurs, and all of them."""
    counts: list[int] = np.bincount(concepts, minlength=n_concepts).tolist()
    return [*counts, sum(counts)]


def _rows(clusters: Clusters, key: Key) -> list[_Row]:
    """The mean of each concept, then the pooled mean."""
    n = [*clusters.images.tolist(), len(clusters)]
    means = [*ratio(clusters.sums.sum(0), clusters.counts.sum(0)).tolist(), clusters.pooled()]
    intervals = _intervals(clusters, key) if len(clusters) >= FEWEST else {}
    rows = zip(means, (intervals.get(place, (None, None)) for place in range(len(n))), n, strict=True)
    return [(mean if count else None, *interval, count) for mean, interval, count in rows]


def _intervals(clusters: Clusters, key: Key, pooled_only: bool = False) -> dict[int, tuple[float, float]]:
    """The intervals of the concepts that have enough images (0 … K - 1) and of the pooled mean (K)."""
    images, by_image = clusters.images, clusters.by_image
    used = images >= FEWEST if by_image else images > 0  # concepts that nobody reads cost time
    sums, counts = clusters.sums[:, used], clusters.counts[:, used]
    if by_image:
        sums, counts = np.c_[sums, clusters.shares()], np.c_[counts, np.ones(len(clusters))]
    finish = _as_is if by_image else _with_mean
    estimates = finish(ratio(sums.sum(0), counts.sum(0))[None])[0]
    left_out = finish(ratio(sums.sum(0) - sums, counts.sum(0) - counts))  # [n, …]
    replicates = finish(resampled_means(sums, counts, key))  # [9999, …]
    places = [*np.flatnonzero(used).tolist(), len(images)]
    wanted = [*((images[used] >= FEWEST) & (not pooled_only)).tolist(), True]
    columns = zip(places, wanted, estimates.tolist(), replicates.T, left_out.T, strict=True)
    found = {place: bca(mean, drawn, without) for place, want, mean, drawn, without in columns if want}
    return {place: interval for place, interval in found.items() if interval}


def _as_is(means: Floats) -> Floats:
    return means


def _with_mean(means: Floats) -> Floats:
    """Add a column: the mean of those that are there (a resample may miss a concept)."""
    there = np.isfinite(means)
    return np.column_stack([means, np.where(there, means, 0.0).sum(1) / there.sum(1)])


# ------------------------------------------------------------------------------------------------ pairs


@dataclass(frozen=True)
class Paired:
    """A mean difference over n images, its 95 % interval, its size in standard deviations, and its sign-flip p.

    `constant` is true where all images differ by the same: there is no interval then, and no effect size.
    """

    mean: float
    ci_low: float | None
    ci_high: float | None
    effect: float | None
    p: float
    n: int
    constant: bool

    @property
    def excludes_zero(self) -> bool:
        """Whether the interval, or the one value that all of at least 5 images share, lies on one side of 0."""
        if self.constant:
            return self.n >= FEWEST and self.mean != 0
        return self.ci_low is not None and self.ci_high is not None and (self.ci_low > 0 or self.ci_high < 0)


def paired(differences: Clusters, key: Key, tests: int = 1) -> Paired:
    """Return what paired differences, gathered by image, say about their mean; raises InputError if there are none.

    p is that of `sign_flip_p`, which turns all values of an image together; `tests` is the size of the family.

    >>> result = paired(Clusters.of([1.0, 2.0, 3.0]), key=(0,))
    >>> result.mean, result.effect, result.p
    (2.0, 2.0, 0.25)
    """
    if not len(differences):
        raise InputError("there is no image on both sides, so nothing can be compared in pairs")
    shares = differences.shares()
    if not shares.any():  # two runs of the same code: nothing to draw
        return Paired(0.0, None, None, None, 1.0, len(shares), True)
    summary = summarise_pooled(differences, key)
    mean, spread = summary.value or 0.0, float(shares.std(ddof=1)) if len(shares) > 1 else 0.0
    constant = spread <= 1e-12 * float(np.abs(shares).max())
    effect = None if constant else mean / spread
    p = sign_flip_p(shares, key, tests)
    return Paired(mean, summary.ci_low, summary.ci_high, effect, p, len(shares), constant)


def sign_flip_p(differences: Floats, key: Key, tests: int = 1) -> float:
    """Return the two-sided p of the sign-flip test of differences [n], one of so many tests that Holm will see.

    Exact up to n = 16, else (1 + count) / (1 + flips); it supposes that, without an effect, differences lie
    symmetrically around 0.
    """
    flipped = flipped_sums(differences[:, None], key, flips_for(tests))[:, 0]
    return extreme_share(flipped, float(differences.sum()), len(differences))


def holm(p: Sequence[float]) -> list[float]:
    """Return Holm's adjusted p: those below alpha are significant with a family-wise error of alpha (Holm 1979).

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    order = np.argsort(p, kind="stable")
    steps = np.arange(len(p), 0, -1) * np.asarray(p, np.float64)[order]
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return [float(value) for value in adjusted]


# ------------------------------------------------------------------------------------------------ seeds


def summarise_seeds(seeds: Sequence[Clusters]) -> Summary:
    """Return the mean over seeds, which vary more than images do: they are a random effect, not more images.

    Standard error sqrt(s_seed^2 / S + s_image^2 / (S n)), t with S - 1 degrees of freedom; no interval below 3 seeds.
    Raises InputError when a seed has no value.
    """
    means = np.array([clusters.pooled() for clusters in seeds], dtype=np.float64)
    if not len(means) or np.isnan(means).any():
        raise InputError("a mean over seeds needs a value of each")
    n = min(len(clusters) for clusters in seeds)
    if len(seeds) < 3 or n < 2:
        return Summary(float(means.mean()), None, None, n)
    image_variance = np.mean([clusters.shares().var(ddof=1) for clusters in seeds])
    error = np.sqrt(means.var(ddof=1) / len(seeds) + image_variance / (len(seeds) * n))
    reach = float(student.ppf((1 + CONFIDENCE) / 2, len(seeds) - 1) * error)
    return Summary(float(means.mean()), float(means.mean()) - reach, float(means.mean()) + reach, n)
