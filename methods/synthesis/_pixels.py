"""Images as they are, one number a pixel and channel, squashed into range."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Pixels:
    """Inputs of one shape (C, *extent) behind the log-odds of their values.

    >>> Pixels((1, 2, 2)).render(torch.zeros(1, 1, 2, 2)).unique()
    tensor([0.5000])
    """

    shape: tuple[int, ...]

    def start(self, random: torch.Generator) -> Tensor:
        """Return the log-odds of a nearly grey input [C, *extent]."""
        return 0.01 * torch.randn(self.shape, generator=random)

    def render(self, odds: Tensor) -> Tensor:
        """Return the inputs [P, C, *extent] in (0, 1)."""
        return torch.sigmoid(odds)
