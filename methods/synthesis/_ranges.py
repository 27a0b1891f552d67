"""Inputs in units of their own, written as shares of the way from the least value to the greatest."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ambench.core import Concepts, InputError

STIR = 0.01  # of the range: how far a start lies from the mean


@dataclass(frozen=True)
class Range:
    """Inputs of one shape whose values lie between `low` and `high`; a share of 0 is the one, of 1 the other.

    >>> Range((1, 2), low=-1.0, high=3.0, mean=0.0).render(torch.tensor([[[0.5, 1.0]]]))
    tensor([[[1., 3.]]])
    """

    shape: tuple[int, ...]
    low: float
    high: float
    mean: float

    @staticmethod
    def of(concepts: Concepts, shape: tuple[int, ...]) -> Range:
        """Return the range of the examples, or their bounds where there are none; InputError if there is no range."""
        if not len(concepts):
            return Range(shape, *concepts.bounds, float(concepts.mean.mean()))
        low, high = float(concepts.images.min()), float(concepts.images.max())
        if not torch.isfinite(concepts.images).all():
            raise InputError("the examples hold NaN or infinity, so they have no least and no greatest value")
        if low == high:
            raise InputError(f"the examples hold nothing but the value {low:g}; a climb needs a range of values")
        return Range(shape, low, high, float(concepts.mean.mean()))

    def start(self, random: torch.Generator) -> Tensor:
        """Return shares near the examples' mean [*shape]."""
        middle = (self.mean - self.low) / (self.high - self.low)
        return (middle + STIR * torch.randn(self.shape, generator=random)).clamp(0, 1)

    def render(self, shares: Tensor) -> Tensor:
        """Return the inputs [P, *shape] in units of their own."""
        return self.low + (self.high - self.low) * shares
