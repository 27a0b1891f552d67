"""Images as coefficients of waves, slow ones first, with colours decorrelated (Olah, Mordvintsev & Schubert 2017)."""

from __future__ import annotations

from dataclasses import dataclass

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
        spectrum = coefficients / self._damping(coefficients)[..., None]
        axes = tuple(range(-len(extent), 0))
        waves = (
            torch.fft.irfftn(torch.view_as_complex(spectrum), s=extent, dim=axes, norm="ortho") / 4
        )  # [P, C, *extent]
        return torch.sigmoid(_correlated(waves))

    def _damping(self, like: Tensor) -> Tensor:
        """Return each wave's frequency, in cycles a pixel and at least one a side, to the power `decay`."""
        *leading, last = self.shape[1:]
        axes = [torch.fft.fftfreq(side) for side in leading] + [torch.fft.rfftfreq(last)]
        grids = torch.meshgrid(*axes, indexing="ij")
        frequency = torch.stack(grids).square().sum(0).sqrt()  # [*extent[:-1], extent[-1] // 2 + 1]
        return frequency.clamp_min(1 / max([*leading, last])).pow(self.decay).to(like)


def _correlated(waves: Tensor) -> Tensor:
    """Return the waves mixed as the colours of photographs are; pictures of another number of channels stay."""
    if waves.shape[1] != 3:
        return waves
    axes = torch.tensor(COLOUR_AXES, device=waves.device, dtype=waves.dtype)
    mixing = axes / axes.norm(dim=0).max()
    return torch.einsum("dc,pc...->pd...", mixing, waves)
