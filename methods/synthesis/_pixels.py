"""Images as they are, one number a pixel and channel: squashed into range, or free."""

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


@dataclass(frozen=True)
class RawPixels:
    """Inputs of one shape (C, *extent) as their own values, which nothing but a penalty keeps in [0, 1].

    >>> RawPixels((1, 2, 2)).render(torch.ones(1, 1, 2, 2)).unique()
    tensor([1.])
    """

    shape: tuple[int, ...]

    def start(self, random: torch.Generator) -> Tensor:
        """Return a nearly grey input [C, *extent]."""
        return 0.5 + 0.01 * torch.randn(self.shape, generator=random)

    def render(self, values: Tensor) -> Tensor:
        """Return the inputs as they are."""
        return values
