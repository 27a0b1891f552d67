"""Codes that a search without gradients may try, and the inputs they stand for."""

from __future__ import annotations

from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from ambench import decoders
from ambench.core import InputError, Model, nearest

from ._fourier import Fourier
from ._pixels import Pixels

REACH = 4.0  # every number of a code lies between minus and plus this


class Space(Protocol):
    """Codes of `dimensions` numbers, each in [-REACH, REACH], that stand for inputs of a network."""

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


class Codes:
    """The code space of a decoder: numbers of standard deviations about its mean code, or shares of a code's range.

    A rectified code goes from 0 to the highest that the decoder allows. Pictures of another size than the network's
    are resized by area, and values outside [0, 1] cut off.

    >>> Codes(decoders.resolve("shapes"), (3, 32, 32)).render(torch.zeros(2, 119)).shape
    torch.Size([2, 3, 32, 32])
    """

    def __init__(self, decoder: decoders.Decoder, shape: tuple[int, ...]) -> None:
        if len(shape) != 3:
            raise InputError(f"decoder '{decoder.name}' makes pictures, and the network takes {list(shape)}")
        self._decoder = decoder
        self._extent = shape[1:]

    @property
    def dimensions(self) -> int:
        """How many numbers make a code of the decoder."""
        return self._decoder.mean.numel()

    def render(self, codes: Tensor) -> Tensor:
        """Return pictures [m, *input] in [0, 1] of codes [m, dimensions]."""
        decoder = self._decoder
        codes = codes.to(decoder.mean).view(-1, *decoder.code_shape)
        low, high = decoder.bounds
        own = (
            low + (high - low) * (codes / REACH + 1) / 2
            if decoder.kind == "relu"
            else decoder.mean + decoder.std * codes
        )
        pictures: Tensor = decoder.network(own)
        if pictures.shape[2:] != self._extent:
            pictures = F.interpolate(pictures, size=self._extent, mode="area")
        return pictures.clamp(0, 1).to(codes)


def space_of(name: str, model: Model, frequencies: int) -> Space:
    """Return a model's space by name: `fourier`, or a decoder's; raises InputError with the nearest name."""
    if name == "fourier":
        return Waves(model.input_shape, frequencies)
    if name.partition("@")[0] not in decoders.NAMES and not name.startswith("python:"):
        raise InputError(
            f"there is no space '{name}' to search; {nearest(name, ['fourier', *decoders.NAMES, 'python:…'])}"
        )
    decoder = decoders.resolve(name, model.device, model.input_shape[0])
    return Codes(decoder, model.input_shape)
