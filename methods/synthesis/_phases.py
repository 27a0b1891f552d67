"""Pictures whose spectrum has natural magnitudes, so that only phases are free (Fel et al. 2023, arXiv 2306.06805)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ._fourier import Fourier, correlated, decorrelated

GREY = 0.5


@dataclass(frozen=True, eq=False)
class Phases:
    """Pictures [P, C, *extent] behind the phases of waves with magnitudes [C, *extent[:-1], extent[-1] // 2 + 1].

    The waves' sum is brought to mean 0 and deviation 1 before colours are mixed and squashed into range.

    >>> Phases((1, 4, 4), torch.ones(1, 4, 3)).render(torch.zeros(1, 1, 4, 3)).shape
    torch.Size([1, 1, 4, 4])
    """

    shape: tuple[int, ...]
    magnitude: Tensor

    def start(self, random: torch.Generator) -> Tensor:
        """Return phases between -pi and pi, like `magnitude`."""
        return math.pi * (2 * torch.rand(self.magnitude.shape, generator=random) - 1)

    def waves(self, phases: Tensor) -> Tensor:
        """Return the sum of the waves [P, C, *extent]."""
        extent = self.shape[1:]
        spectrum = torch.polar(self.magnitude.to(phases).expand_as(phases), phases)
        waves: Tensor = torch.fft.irfftn(spectrum, s=extent, dim=tuple(range(-len(extent), 0)))
        return waves

    def render(self, phases: Tensor) -> Tensor:
        """Return the pictures in (0, 1) of phases [P, C, …]."""
        waves = self.waves(phases)
        flat = waves.flatten(1)
        shape = (-1, *[1] * (waves.ndim - 1))
        mean, deviation = flat.mean(1).view(shape), flat.std(1, correction=0).clamp_min(1e-12).view(shape)
        return torch.sigmoid(correlated((waves - mean) / deviation))


def magnitudes(images: Tensor) -> Tensor:
    """Return the mean magnitude of images' waves around grey [C, …] of images [N, C, *extent], colours decorrelated.

    Around grey, because that is what phases are waves around: counted from black, the mean brightness would outweigh
    all other waves a hundred times, and what is left of them after standardising is hardly to be seen.

    >>> magnitudes(torch.ones(2, 1, 4, 4)).sum()
    tensor(8.)
    """
    axes = tuple(range(2, images.ndim))
    found: Tensor = torch.fft.rfftn(decorrelated(images - GREY), dim=axes).abs().mean(0)
    return found


def usual_magnitudes(shape: tuple[int, ...]) -> Tensor:
    """Return magnitudes that fall with frequency as those of photographs do, for want of images."""
    return (1 / Fourier(shape).frequencies()).expand(shape[0], *[-1] * (len(shape) - 1)).clone()
