"""Cosines of directions, concept by concept."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ambench.core import Directions


def stacked(several: Sequence[Directions]) -> Tensor:
    """Return the vectors of S directions of K concepts [S, K, F], float64."""
    return torch.stack([one.vectors.flatten(1).double() for one in several])


def cosines(one: Tensor, other: Tensor) -> Tensor:
    """Return cosines of vectors [..., F] in pairs [...]; 0 where one of them is zero.

    >>> cosines(torch.tensor([[3.0, 4.0], [0.0, 0.0]]), torch.tensor([[6.0, 8.0], [1.0, 0.0]])).tolist()
    [1.0, 0.0]
    """
    lengths = one.norm(dim=-1) * other.norm(dim=-1)
    return torch.where(lengths > 0, (one * other).sum(-1) / lengths.clamp_min(1e-300), torch.zeros_like(lengths))
