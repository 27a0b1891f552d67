"""Codes that a search without gradients may try, and the inputs they stand for."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from ambench.core import InputError, nearest

from ._fourier import Fourier
from ._pixels import Pixels

REACH = 4.0  # every number of a code lies between minus and plus this


class Space(Protocol):
    """Codes of `dimensions` numbers, each in [-REACH, REACH], that stand for inputs of a network.

    A decoder is one too: it needs a way from such numbers to whatever its own codes are.
    """

    @property
    def dimensions(self) -> int:
        """How many numbers make a code."""

    def render(self, codes: Tensor) -> Tensor:
        """Return the inputs [m, *input] in [0, 1] of codes [m, dimensions], in their precision."""


class Waves:
    """Images made of slow waves: up to `frequencies` cycles a side along every axis, in each decorrelated colour.

    A code holds real and imaginary parts of `Fourier` coefficients, scaled so that waves along one or three axes rise
    no higher than those of a square picture. Of inputs without extent it holds the log-odds.

    >>> Waves((3, 64, 64), 4).dimensions  # 3 colours, frequencies -4 to 4 by 0 to 4, two parts
    270
    """

    def __init__(self, shape: tuple[int, ...], frequencies: int) -> None:
        self._images = Fourier(shape) if len(shape) > 1 else Pixels(shape)
        self._whole = tuple(self._images.start(torch.Generator()).shape)
        kept = torch.ones(self._whole, dtype=torch.bool)
        for axis, side in enumerate(shape[1:]):
            last = axis == len(shape) - 2
            cycles = torch.fft.rfftfreq(side, 1 / side) if last else torch.fft.fftfreq(side, 1 / side)
            slow = cycles.abs() <= frequencies + 0.5
            kept &= slow.view(-1, *[1] * (len(self._whole) - axis - 2))
        axes = len(shape) - 1
        self._scale = max(shape[1:]) ** (axes / 2 - 1) if axes else 1.0
        self._places = kept.flatten().nonzero().flatten()

    @property
    def dimensions(self) -> int:
        """How many coefficients may differ from zero."""
        return len(self._places)

    def render(self, codes: Tensor) -> Tensor:
        """Return images [m, *input] in (0, 1) of codes [m, dimensions]."""
        whole = codes.new_zeros(len(codes), torch.Size(self._whole).numel())
        whole[:, self._places.to(codes.device)] = codes * self._scale
        return self._images.render(whole.view(-1, *self._whole))


def space_of(name: str, shape: tuple[int, ...], frequencies: int) -> Space:
    """Return a space by name, for inputs of a shape; raises InputError with the nearest name."""
    if name != "fourier":
        raise InputError(f"there is no space '{name}' to search; {nearest(name, ['fourier'])}")
    return Waves(shape, frequencies)
