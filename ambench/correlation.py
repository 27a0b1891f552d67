"""Correlation of two maps over some of their pixels, and ranks in which ties are shared."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

Correlation = Literal["pearson", "spearman"]


def correlation(one: Tensor, two: Tensor, counted: Tensor, kind: Correlation) -> Tensor:
    """Return the correlation of two maps [R, P] over the pixels counted [R, P] bool, as [R] float64.

    0 where either of them is constant there.

    >>> one, two = torch.tensor([[1.0, 2.0, 4.0, 0.0]]), torch.tensor([[2.0, 3.0, 9.0, 9.0]])
    >>> correlation(one, two, torch.tensor([[True, True, True, False]]), "spearman")
    tensor([1.], dtype=torch.float64)
    """
    silent = constant(one, counted) | constant(two, counted)
    if kind == "spearman":  # what is not counted ranks last, and moves no other
        one, two = (mid_ranks(values.double().masked_fill(~counted, torch.inf)) for values in (one, two))
    first, second = (_centred(values.double(), counted) for values in (one, two))
    norm = (first.square().sum(1) * second.square().sum(1)).sqrt()
    value = (first * second).sum(1) / torch.where(silent, torch.ones_like(norm), norm)
    return value.masked_fill(silent, 0.0).clamp(-1, 1)


def constant(values: Tensor, counted: Tensor) -> Tensor:
    """Return which maps are the same on all pixels counted [R] bool, but for what interpolation rounds."""
    high, low = (values.masked_fill(~counted, edge) for edge in (-torch.inf, torch.inf))
    rounding = 16 * torch.finfo(values.dtype).eps * values.abs().amax(1)
    return high.amax(1) - low.amin(1) <= rounding


def _centred(values: Tensor, counted: Tensor) -> Tensor:
    """Return values less the mean of those counted, 0 elsewhere, at most 1 so that no square is lost [R, P]."""
    mean = values.masked_fill(~counted, 0).sum(1, keepdim=True) / counted.sum(1, keepdim=True).clamp_min(1)
    distance = (values - mean).masked_fill(~counted, 0)
    return distance / distance.abs().amax(1, keepdim=True).clamp_min(1e-300)


def mid_ranks(values: Tensor) -> Tensor:
    """Return the ranks of values [R, P] from 1 up, float64; equal ones share the mean of the places they take.

    >>> mid_ranks(torch.tensor([[5.0, 7.0, 5.0]])).tolist()
    [[1.5, 3.0, 1.5]]
    """
    ordered, order = values.sort(dim=1)
    first, last = ties(ordered)
    ranks = (first + last).double() / 2 + 1
    return torch.empty_like(ranks).scatter(1, order, ranks)


def ties(ordered: Tensor) -> tuple[Tensor, Tensor]:
    """Return the places of the first and the last value equal to each of sorted ones [R, P]."""
    count = ordered.shape[1]
    place = torch.arange(count, device=ordered.device).expand_as(ordered)
    differs = ordered[:, 1:] != ordered[:, :-1]
    starts, ends = (torch.nn.functional.pad(differs, side, value=True) for side in ((1, 0), (0, 1)))
    first = torch.where(starts, place, 0).cummax(1).values
    last = torch.where(ends, place, count - 1).flip(1).cummin(1).values.flip(1)
    return first, last
