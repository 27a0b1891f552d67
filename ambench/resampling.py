"""Draws with replacement and sign flips, made once per number of images, and BCa intervals from them (Efron 1987)."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from functools import lru_cache
from itertools import chain

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from ambench.clusters import Floats, ratio
from ambench.core import generator

Key = tuple[Hashable, ...]

RESAMPLES = 9_999
CONFIDENCE = 0.95
EXACT_FLIPS = 16  # up to so many clusters all 2^n sign flips are counted
_KEPT = 4_096  # draws for so many clusters stay in memory: 41 MB
_BLOCK = 2**17  # numbers multiplied at a time: a block in float64 stays in the processor's cache
_SAME = 1e-12  # numbers that differ by less, relatively, differ by rounding only


def random_state(key: Key) -> np.random.Generator:
    """Return numpy's generator for a key: the same numbers for the same key."""
    return np.random.default_rng(generator(*key).initial_seed())


def resampled_means(sums: Floats, counts: Floats, key: Key) -> Floats:
    """Return bootstrap replicates [9999, C] of the means `sums / counts` [n, C] over clusters drawn with replacement.

    All columns share the same draws, which depend on n and the key alone; NaN where a resample has nothing to average.
    """
    columns = np.concatenate([sums, counts], axis=1)  # [n, 2C]
    product = _product(_draws(len(sums), key), columns)
    top, bottom = np.split(product, 2, axis=1)
    return ratio(top, bottom)  # [9999, C]


def flipped_sums(values: Floats, key: Key, flips: int = RESAMPLES) -> Floats:
    """Return the sums over clusters [F, C] of values [n, C] under sign flips: all 2^n up to n = 16, else `flips`."""
    return _product(_flips(len(values), key, flips), values)


def flips_for(tests: int) -> int:
    """Return how many flips let the smallest p survive Holm over so many tests: 9,999 up to 249 of them."""
    return max(RESAMPLES, 40 * tests - 1)


def extreme_share(flipped: Floats, observed: float, n: int) -> float:
    """Return the two-sided p of a sum over n clusters: the share of its flips [F] that are at least as far from 0.

    Exact up to n = 16, where the flips are all there are; else (1 + count) / (1 + F), which is never 0.
    """
    bound = abs(observed) - _SAME * float(np.abs(flipped).max(initial=0.0))  # other orders of adding differ by rounding
    count = int((np.abs(flipped) >= bound).sum())
    return count / len(flipped) if n <= EXACT_FLIPS else (1 + count) / (1 + len(flipped))


def bca(estimate: float, replicates: Floats, jackknife: Floats) -> tuple[float, float] | None:
    """Return the 95 % BCa interval from replicates [R] and leave-one-out values [n]; None where nothing varies."""
    replicates = replicates[np.isfinite(replicates)]
    rounding = _SAME * max(abs(estimate), np.abs(replicates).max(initial=0.0))
    if not len(replicates) or np.ptp(replicates) <= 2 * rounding:
        return None
    below, above = replicates < estimate - rounding, replicates > estimate + rounding
    bias = ndtri((below.mean() + 1 - above.mean()) / 2)  # ties count half
    acceleration = _acceleration(jackknife)
    tails = bias + ndtri([(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    low, high = np.quantile(replicates, ndtr(bias + tails / (1 - acceleration * tails)))
    return float(low), float(high)


def _acceleration(jackknife: Floats) -> float:
    shifts = np.mean(jackknife) - jackknife
    spread = np.sum(shifts**2) ** 1.5
    return float(np.sum(shifts**3) / (6 * spread)) if spread > 0 else 0.0


def _product(blocks: Iterator[NDArray[np.int8]], columns: Floats) -> Floats:
    step = max(1, _BLOCK // max(1, len(columns)))
    parts = (block[start : start + step] for block in blocks for start in range(0, len(block), step))
    return np.concatenate([part.astype(np.float64) @ columns for part in parts])


def _draws(n: int, key: Key) -> Iterator[NDArray[np.int8]]:
    """How often each of n clusters is drawn [rows, n], block by block, 9,999 rows in all."""
    return iter((_kept_draws(n, key),)) if n <= _KEPT else _fresh_draws(n, key)


@lru_cache(maxsize=4)
def _kept_draws(n: int, key: Key) -> NDArray[np.int8]:
    return np.concatenate(list(_fresh_draws(n, key)))


def _fresh_draws(n: int, key: Key) -> Iterator[NDArray[np.int8]]:
    random = random_state(("resamples", *key))
    for rows in _row_counts(n, RESAMPLES):
        drawn = random.integers(0, n, (rows, n)) + n * np.arange(rows)[:, None]
        yield np.bincount(drawn.ravel(), minlength=rows * n).reshape(rows, n).astype(np.int8)


def _flips(n: int, key: Key, flips: int) -> Iterator[NDArray[np.int8]]:
    """Signs [rows, n], block by block: 2^n rows in all, or `flips`."""
    return iter((_kept_flips(n, key, flips),)) if n <= _KEPT else _fresh_flips(n, key, flips)


@lru_cache(maxsize=4)
def _kept_flips(n: int, key: Key, flips: int) -> NDArray[np.int8]:
    if n <= EXACT_FLIPS:
        bits = np.arange(2**n)[:, None] >> np.arange(n) & 1
        return (2 * bits - 1).astype(np.int8)  # [2^n, n]
    return np.concatenate(list(_fresh_flips(n, key, flips)))


def _fresh_flips(n: int, key: Key, flips: int) -> Iterator[NDArray[np.int8]]:
    random = random_state(("flips", *key))
    for rows in _row_counts(n, flips):
        yield (2 * random.integers(0, 2, (rows, n), dtype=np.int8) - 1).astype(np.int8)


def _row_counts(n: int, total: int) -> Iterator[int]:
    """So many rows, in blocks of about four million numbers."""
    rows = max(1, 2**22 // max(1, n))
    return chain((rows for _ in range(total // rows)), filter(None, (total % rows,)))
