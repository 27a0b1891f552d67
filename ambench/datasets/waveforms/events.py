"""Three short things that happen to a series whatever its waveform is: spike, burst and plateau; and bumps."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

EVENTS = ("spike", "burst", "plateau")

# Which augmentations leave each event what it is: a blur takes fast things away, and a plateau is where nothing moves.
_ALWAYS = ("translate", "scale", "brightness", "contrast", "cutout")
KEEPS: dict[str, tuple[str, ...]] = {
    "spike": (*_ALWAYS, "noise"),
    "burst": (*_ALWAYS, "noise"),
    "plateau": (*_ALWAYS, "blur"),
}


@dataclass(frozen=True)
class Places:
    """Where n things lie in B series: centre and half width in samples, height in units of the series, all [B, n]."""

    centre: Tensor
    half_width: Tensor
    height: Tensor

    def distance(self, length: int) -> Tensor:
        """Return how far each sample is from each centre, in half widths and with sign [B, n, T]."""
        samples = torch.arange(length, dtype=torch.float32)
        return (samples - self.centre[..., None]) / self.half_width[..., None]

    def inside(self, length: int) -> Tensor:
        """Return the samples that belong to each thing [B, n, T] bool."""
        return self.distance(length).abs() < 1


def bump(distance: Tensor) -> Tensor:
    """Return a smooth hump over distances in half widths, 1 in the middle and 0 from one half width on.

    >>> bump(torch.tensor([0.0, 0.5, 1.0, 2.0]))
    tensor([1.0000, 0.5000, 0.0000, 0.0000])
    """
    return torch.where(distance.abs() < 1, 0.5 + 0.5 * torch.cos(math.pi * distance), 0.0)


def spike(distance: Tensor) -> Tensor:
    """Return a steep peak, straight up and straight down."""
    return (1 - distance.abs()).clamp_min(0)


def burst(distance: Tensor, turns: Tensor) -> Tensor:
    """Return a fast wave that swells and dies away, of `turns` [B, n] periods in a half width."""
    return bump(distance) * torch.cos(2 * math.pi * turns[..., None] * distance)
