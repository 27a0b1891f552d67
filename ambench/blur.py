"""A Gaussian blur along every axis of a map, edges mirrored, as a matrix for each axis."""

from __future__ import annotations

import torch
from torch import Tensor

REACH = 4.0  # standard deviations after which the bell is cut


def blurred(maps: Tensor, deviation: float) -> Tensor:
    """Return maps [B, *extent] blurred with a standard deviation in pixels; a constant map stays as it is.

    >>> blurred(torch.ones(1, 5, 6), 2.0).allclose(torch.ones(1, 5, 6))
    True
    """
    for axis in range(1, maps.ndim):
        bell = _bell(maps.shape[axis], deviation).to(maps)
        maps = torch.tensordot(maps, bell, dims=([axis], [1])).movedim(-1, axis)
    return maps


def pixels(extent: torch.Size) -> float:
    """Return the blur's standard deviation in pixels: 2 for 64 pixels on the shortest side, in proportion else."""
    return 2 * min(extent, default=1) / 64


def _bell(side: int, deviation: float) -> Tensor:
    """Return the matrix [side, side] that blurs one axis; beyond an edge the pixels repeat in reverse."""
    reach = int(REACH * deviation + 0.5)
    offsets = torch.arange(-reach, reach + 1)
    weights = torch.exp(-0.5 * (offsets / max(deviation, 1e-12)).double().square())
    weights = weights / weights.sum()
    place = (torch.arange(side)[:, None] + offsets) % (2 * side)  # a mirrored axis repeats every two sides
    source = torch.minimum(place, 2 * side - 1 - place)  # [side, 2 * reach + 1]
    return torch.zeros(side, side, dtype=torch.float64).scatter_add_(1, source, weights.expand(side, -1))
