"""The outline of an object and its inside, and how a heatmap's evidence is shared between them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

REACH = 3 / 64  # of the shorter side: how far the band reaches to either side of the outline
SMALLEST_INSIDE = 20 / 64**2  # of the square on the shorter side: with less inside there is nothing to compare


@dataclass(frozen=True, eq=False)
class Outline:
    """Of objects [B, *extent]: the band along their outline, their inside, and which have both [B] bool."""

    band: Tensor
    inside: Tensor
    defined: Tensor


def outline(objects: Tensor) -> Outline:
    """Return band and inside of objects [B, *extent] bool: grown less shrunk, and shrunk, by 3 pixels of 64.

    A pixel grows to those beside it, not to those across a corner. The picture's edge is no outline of an object that
    it cuts off. An object with no band, or with less than 20 pixels of 64 x 64 inside, is undefined.

    >>> found = outline(torch.ones(1, 64, 64).tril(-1).bool())
    >>> found.band[0, 32, 26:38].int().tolist(), int(found.inside[0, 32].sum())
    ([0, 0, 0, 1, 1, 1, 1, 1, 1, 0, 0, 0], 29)
    """
    extent = objects.shape[1:]
    side = min(extent)
    steps = max(1, round(REACH * side))
    inside = ~grown(~objects.bool(), steps)
    band = grown(objects.bool(), steps) & ~inside
    fewest = math.ceil(SMALLEST_INSIDE * side ** len(extent))
    return Outline(band, inside, band.flatten(1).any(1) & (inside.flatten(1).sum(1) >= fewest))


def grown(marked: Tensor, steps: int) -> Tensor:
    """Return where something marked [B, *extent] bool is at most so many steps along the axes away.

    >>> grown(torch.tensor([[False, False, False, True]]), 2).tolist()
    [[False, True, True, True]]
    """
    for _ in range(steps):
        wider = marked.clone()
        for axis in range(1, marked.ndim):
            length = marked.shape[axis] - 1
            wider.narrow(axis, 0, length).logical_or_(marked.narrow(axis, 1, length))
            wider.narrow(axis, 1, length).logical_or_(marked.narrow(axis, 0, length))
        marked = wider
    return marked


def evidence_on_outline(maps: Tensor, found: Outline) -> tuple[Tensor, Tensor]:
    """Return o / (o + i) of maps [B, T, *extent] as [B, T] float64, and where there is no answer [B, T] bool.

    o and i are the positive values per pixel of the band and of the inside. Without any it is .5, as for a flat map.
    """
    positive = maps.double().clamp_min(0).flatten(2)  # [B, T, P]
    on, inside = (_per_pixel(positive, where.flatten(1)) for where in (found.band, found.inside))
    total = on + inside
    silent = total == 0
    flat = silent | (maps.flatten(2).amax(2) == maps.flatten(2).amin(2))
    return torch.where(silent, total.new_full((), 0.5), on / torch.where(silent, torch.ones_like(total), total)), flat


def _per_pixel(positive: Tensor, where: Tensor) -> Tensor:
    """Return the mean [B, T] of values [B, T, P] over the pixels where [B, P] bool."""
    return positive.masked_fill(~where[:, None], 0).sum(2) / where.sum(1).clamp_min(1)[:, None]
