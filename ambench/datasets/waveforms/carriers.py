"""Four waveforms of one period, the classes of drawn series: sine, triangle, square and sawtooth."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

Waveform = Callable[[Tensor], Tensor]  # phase in turns -> [-1, 1]


def sine(phase: Tensor) -> Tensor:
    """A round wave."""
    return torch.sin(2 * math.pi * phase)


def triangle(phase: Tensor) -> Tensor:
    """Straight up, straight down.

    >>> triangle(torch.tensor([0.0, 0.25, 0.5, 0.75])).tolist()
    [-1.0, 0.0, 1.0, 0.0]
    """
    return 1 - 4 * (phase - phase.floor() - 0.5).abs()


def square(phase: Tensor) -> Tensor:
    """High for half a period, low for the other half."""
    return torch.where(phase - phase.floor() < 0.5, 1.0, -1.0)


def sawtooth(phase: Tensor) -> Tensor:
    """Straight up, then down at once."""
    return 2 * (phase - phase.floor()) - 1


WAVEFORMS: dict[str, Waveform] = {"sine": sine, "triangle": triangle, "square": square, "sawtooth": sawtooth}


def carry(number: Tensor, phase: Tensor) -> Tensor:
    """Return each series' own waveform: its number [B] in WAVEFORMS, at phases [B, T] in turns -> [B, T]."""
    drawn = torch.stack([waveform(phase) for waveform in WAVEFORMS.values()], 1)  # [B, waveforms, T]
    return drawn[torch.arange(len(number)), number]
