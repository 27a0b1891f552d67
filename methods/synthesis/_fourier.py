"""Images as coefficients of waves, slow ones first, with colours decorrelated (Olah, Mordvintsev & Schubert 2017)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

# Columns: the main axes along which the three colours of photographs vary together, in units of the longest.
COLOUR_AXES = ((0.26, 0.09, 0.02), (0.27, 0.00, -0.05), (0.27, -0.09, 0.03))


@dataclass(frozen=True)
class Fourier:
    """Images of one shape (C, *extent) behind real and imaginary parts of their spectrum.

    Waves are damped by their frequency to the power `decay`, so that one step moves large structures first.

    >>> Fourier((3, 8, 8)).render(torch.zeros(1, 3, 8, 5, 2)).unique()
    tensor([0.5000])
    """

    shape: tuple[int, ...]
    decay: float = 1.0

    def start(self, random: torch.Generator) -> Tensor:
        """Return the coefficients of a nearly grey image [C, *extent[:-1], extent[-1] // 2 + 1, 2]."""
        *leading, last = self.shape
        return 0.01 * torch.randn(*leading, last // 2 + 1, 2, generator=random)

    def render(self, coefficients: Tensor) -> Tensor:
        """Return the images [P, C, *extent] in (0, 1) of coefficients [P, C, …, 2]."""
        extent = self.shape[1:]
        spectrum = torch.view_as_complex(coefficients) * _loudness(extent, self.decay).to(coefficients)
        axes = tuple(range(-len(extent), 0))
        waves = torch.fft.irfftn(spectrum, s=extent, dim=axes, norm="ortho")  # [P, C, *extent]
        return torch.sigmoid(correlated(waves))

    def frequencies(self) -> Tensor:
        """Return each wave's frequency in cycles a pixel, at least one a side [*extent[:-1], extent[-1] // 2 + 1]."""
        return _frequencies(self.shape[1:])


@lru_cache(maxsize=8)
def _loudness(extent: tuple[int, ...], decay: float) -> Tensor:
    """Return what a coefficient of each wave counts: a quarter over its frequency to the power `decay`."""
    return 0.25 / _frequencies(extent).pow(decay)


def _frequencies(extent: tuple[int, ...]) -> Tensor:
    *leading, last = extent
    axes = [torch.fft.fftfreq(side) for side in leading] + [torch.fft.rfftfreq(last)]
    grids = torch.meshgrid(*axes, indexing="ij")
    return torch.stack(grids).square().sum(0).sqrt().clamp_min(1 / max(extent))


def correlated(waves: Tensor) -> Tensor:
    """Return waves [P, C, …] mixed as the colours of photographs are; those of other than three channels stay."""
    return waves if waves.shape[1] != 3 else _mixed(mixing(waves), waves)


def decorrelated(images: Tensor) -> Tensor:
    """Return images [P, C, …] with their colours unmixed: `correlated` backwards.

    >>> images = torch.rand(1, 3, 2, 2)
    >>> torch.allclose(correlated(decorrelated(images)), images, atol=1e-5)
    True
    """
    return images if images.shape[1] != 3 else _mixed(mixing(images).inverse(), images)


def mixing(like: Tensor) -> Tensor:
    """Return the colour axes as the columns of a matrix, divided by the longest [3, 3]."""
    axes = torch.tensor(COLOUR_AXES, device=like.device, dtype=like.dtype)
    matrix: Tensor = axes / axes.norm(dim=0).max()
    return matrix


def _mixed(matrix: Tensor, values: Tensor) -> Tensor:
    """Return channels [P, C, …] mixed by a matrix [D, C]."""
    return (matrix @ values.flatten(2)).view(len(values), -1, *values.shape[2:])
