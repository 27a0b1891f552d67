"""Draws without memory: what every search must beat."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ._spaces import REACH


class RandomSearch:
    """Codes uniform over the whole range, one stream of chance a row; nothing is learnt from their values."""

    def __init__(self, population: int, dimensions: int, streams: Sequence[torch.Generator]) -> None:
        self._shape = (population, dimensions)
        self._streams = streams

    def ask(self) -> Tensor:
        """Return the next codes of every row [R, k, d]."""
        draws = [torch.rand(self._shape, generator=stream, dtype=torch.float64) for stream in self._streams]
        return REACH * (2 * torch.stack(draws) - 1)

    def tell(self, values: Tensor) -> None:
        """Learn nothing."""
