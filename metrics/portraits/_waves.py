"""How fast the power of pictures or series falls with frequency."""

from __future__ import annotations

import math

import torch
from torch import Tensor

BANDS = 8
CHUNK = 64  # inputs whose waves are in memory at a time
SHORTEST = 8  # pixels of a side, below which there are too few bands for a line


def slopes(images: Tensor) -> Tensor:
    """Return the slope [B] of log power on log frequency of inputs [B, C, *extent]; NaN for flat or small ones.

    The channels' mean, under a Hann window, is taken apart into waves; their mean power in up to eight bands of equal
    width in log frequency, from two waves a side to the shortest that there are, is fitted by a straight line.

    >>> noise = torch.rand(64, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    >>> bool(slopes(noise).mean().abs() < 0.1)  # noise has the same power everywhere
    True
    """
    if min(images.shape[2:], default=0) < SHORTEST:
        return torch.full((len(images),), math.nan, dtype=torch.float64, device=images.device)
    return torch.cat([_slopes(part.double().mean(1)) for part in torch.split(images, CHUNK)])


def _slopes(grey: Tensor) -> Tensor:
    """Return the slope [B] of each of grey inputs [B, *extent]."""
    extent = grey.shape[1:]
    window = torch.ones((), dtype=grey.dtype, device=grey.device)
    for side in extent:
        window = window[..., None] * torch.hann_window(side, periodic=False, dtype=grey.dtype, device=grey.device)
    axes = tuple(range(1, grey.ndim))
    distance = grey - (window * grey).sum(axes, keepdim=True) / window.sum()
    power = torch.fft.fftn(window * distance, dim=axes).abs() ** 2
    logs, frequencies = _bands(power.flatten(1), _frequencies(extent).to(grey).flatten(), min(extent))
    centred = frequencies - frequencies.mean()
    slope = (logs * centred).sum(1) / centred.square().sum()
    slope[distance.flatten(1).abs().amax(1) < 1e-6] = math.nan  # flat
    return slope


def _frequencies(extent: tuple[int, ...]) -> Tensor:
    """Return each wave's frequency [*extent] in waves a pixel, whatever its direction."""
    axes = [torch.fft.fftfreq(side, dtype=torch.float64) for side in extent]
    return torch.stack(torch.meshgrid(axes, indexing="ij")).square().sum(0).sqrt()


def _bands(power: Tensor, frequency: Tensor, side: int) -> tuple[Tensor, Tensor]:
    """Return log mean power [B, bands] and log mean frequency [bands] of the bands that hold any wave."""
    edges = torch.logspace(math.log10(2 / side), math.log10(0.5), BANDS + 1, dtype=torch.float64)
    edges[0], edges[-1] = edges[0] * (1 - 1e-9), edges[-1] * (1 + 1e-9)
    band = torch.bucketize(frequency, edges.to(frequency))  # 0 below the first, BANDS + 1 above the last
    members = [(band == number).nonzero().flatten() for number in range(1, BANDS + 1)]
    held = [rows for rows in members if len(rows)]
    logs = torch.stack([power[:, rows].mean(1).clamp_min(1e-300).log() for rows in held], 1)
    return logs, torch.stack([frequency[rows].log().mean() for rows in held])
