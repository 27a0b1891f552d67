"""Sobol indices from samples: the share of a variance that each input owns (Sobol 2001)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import qmc, sobol_indices
from torch import Tensor

SILENT = 1e-12  # variance of an answer below which nothing owns any of it


def design(count: int, inputs: int, seed: int) -> Tensor:
    """Return two independent samples of `count` points [2, count, inputs] in [0, 1] from one scrambled Sobol sequence.

    >>> a, b = design(8, 3, seed=0)
    >>> a.shape, bool(((a * 8).floor().sort(0).values == torch.arange(8)[:, None]).all())  # one in each eighth
    (torch.Size([8, 3]), True)
    """
    points = qmc.Sobol(2 * inputs, scramble=True, rng=seed).random_base2(int(math.log2(count)))
    return torch.as_tensor(points).view(count, 2, inputs).movedim(1, 0)


def total_order(plain: Tensor, mixed: Tensor) -> Tensor:
    """Return each input's total index [..., D] by Jansen's estimator; 0 where the answer is constant.

    plain [..., N]: answers to sample A; mixed [..., D, N]: the same with one input from sample B.
    """
    part = (plain.unsqueeze(-2) - mixed).square().mean(-1) / 2  # [..., D]
    return _share(part, plain.var(-1, correction=0))


def first_order(plain: Tensor, other: Tensor, mixed: Tensor) -> Tensor:
    """Return each input's first-order index [..., D] by the estimator of Saltelli et al. 2010; `other` answers B."""
    middle = (plain.mean(-1, keepdim=True) + other.mean(-1, keepdim=True)) / 2
    part = ((other - middle).unsqueeze(-2) * (mixed - plain.unsqueeze(-2))).mean(-1)  # [..., D]
    return _share(part, torch.cat([plain, other], -1).var(-1, correction=0))


def _share(part: Tensor, whole: Tensor) -> Tensor:
    whole = whole.unsqueeze(-1)
    silent = whole < SILENT
    return (part / whole.masked_fill(silent, 1)).masked_fill(silent, 0)


@dataclass(frozen=True, eq=False)
class _Empirical:
    """A column's own values as a distribution."""

    values: NDArray[np.float64]

    def ppf(self, share: Any) -> Any:
        """Return the smallest value that at least this share of all values does not exceed."""
        return np.quantile(self.values, share, method="inverted_cdf")


def of_columns(answer: Callable[[Tensor], Tensor], columns: Tensor, count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Return first-order and total indices [T, D] of T answers to a table's rows, by scipy.

    `answer` takes rows [N, D] and returns [N, T]. Each column is drawn from its own values, columns [M, D], as if it
    did not depend on the others.

    >>> rows = torch.rand(100, 2, dtype=torch.float64)
    >>> first, total = of_columns(lambda x: x[:, :1] * 3, rows, 256, seed=0)
    >>> [round(index, 2) + 0 for index in total[0].tolist()]
    [1.0, 0.0]
    """
    values = columns.double().cpu().numpy()

    def answers(points: NDArray[np.float64]) -> NDArray[np.float64]:
        found: NDArray[np.float64] = answer(torch.as_tensor(points.T)).double().cpu().numpy().T
        return np.concatenate([found, found])  # scipy drops an axis of one answer, and fails if there is one column too

    found = sobol_indices(func=answers, n=count, dists=[_Empirical(column) for column in values.T], rng=seed)
    first, total = (
        torch.as_tensor(index).view(-1, values.shape[1]) for index in (found.first_order, found.total_order)
    )
    return first[: len(first) // 2], total[: len(total) // 2]
