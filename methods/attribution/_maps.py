"""From numbers for every input value to a map: colours joined, and what is unknown left unknown."""

from __future__ import annotations

import torch
from torch import Tensor


def summed(values: Tensor) -> Tensor:
    """Return values [B, T, C, *extent] summed over the colours [B, T, *extent]; a table's [B, T, D] have none and stay.

    >>> summed(torch.ones(1, 1, 3, 2)).tolist(), summed(torch.ones(1, 1, 3)).tolist()
    ([[[3.0, 3.0]]], [[[1.0, 1.0, 1.0]]])
    """
    return values.sum(2) if values.ndim > 3 else values


def largest(values: Tensor) -> Tensor:
    """Return the largest magnitude over the colours [B, T, *extent] of values [B, T, C, *extent], or [B, T, D]."""
    return values.abs().amax(2) if values.ndim > 3 else values.abs()


def where_known(maps: Tensor, logits: Tensor, targets: Tensor) -> Tensor:
    """Return maps [B, T, *extent], not a number where the target's logit [B, U] is none: a closed ReLU would hide it.

    >>> where_known(torch.zeros(1, 2, 1), torch.tensor([[torch.nan, 1.0]]), torch.tensor([[0, 1]])).flatten().tolist()
    [nan, 0.0]
    """
    return where_answered(maps, logits.gather(1, targets.to(logits.device)))


def where_answered(maps: Tensor, asked: Tensor) -> Tensor:
    """Return maps [B, T, *extent], not a number where the logit that was asked for [B, T] is none."""
    lost = ~asked.isfinite()  # [B, T]
    return maps.masked_fill(lost.view(*lost.shape, *[1] * (maps.ndim - 2)), torch.nan)
