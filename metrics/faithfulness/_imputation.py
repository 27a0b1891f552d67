"""Pixels made up from their neighbours: noisy linear imputation, solved for a batch by conjugate gradients.

(Rong et al. 2022, arXiv 2202.00449)
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ._inputs import mixed

TOGETHER = 1 << 15  # pixels of all images solved at a time: their vectors stay in a processor's cache
PATIENCE = 4  # iterations after which it is asked who has converged
SMALLEST = 1e-38


def imputed(images: Tensor, removed: Tensor, fill: Tensor, tolerance: float = 1e-4) -> Tensor:
    """Return images [N, C, *extent] whose `removed` pixels [N, *extent] bool are the weighted mean of their neighbours.

    A direct neighbour weighs twice as much as a diagonal one, and in three dimensions twice more again; beyond the edge
    there is none. Neighbours may be removed themselves, so this is a system of equations: it is solved until no pixel
    differs from its neighbours' mean by more than `tolerance`, each channel of each image by itself. An image of which
    nothing is left becomes the colour `fill` [C].

    >>> ramp = torch.arange(5.0).expand(1, 1, 5, 5)
    >>> hole = torch.zeros(1, 5, 5, dtype=torch.bool)
    >>> hole[0, 1:4, 1:4] = True
    >>> imputed(ramp, hole, torch.zeros(1), 1e-6).allclose(ramp, atol=1e-5)
    True
    """
    size = max(1, TOGETHER // max(1, math.prod(images.shape[2:])))
    holes = removed.unsqueeze(1)  # [N, 1, *extent]
    start = _fill(images, holes, fill)
    parts = zip(torch.split(start, size), torch.split(holes, size), strict=True)
    return torch.cat([_solve(known, hole.to(known), tolerance) for known, hole in parts]) if len(images) else images


def _fill(images: Tensor, holes: Tensor, fill: Tensor) -> Tensor:
    """Return images whose holes have the mean colour of the rest, or `fill` [C] where there is no rest."""
    axes = tuple(range(2, images.ndim))
    left = (~holes).sum(axes, keepdim=True)  # [N, 1, …]
    mean = (images * ~holes).sum(axes, keepdim=True) / left.clamp_min(1)
    colour = fill.to(images).view(1, -1, *[1] * len(axes))
    return mixed(holes, torch.where(left > 0, mean, colour), images)


def _solve(start: Tensor, hole: Tensor, tolerance: float) -> Tensor:
    """Return the solution from a start [N, C, *extent], whose values where `hole` [N, 1, *extent] is 0 are given.

    With weights w and their sums d, the equations are d x - w x = 0 in the hole: symmetric and positive definite as
    long as something is given. An image that has converged is put aside, so that none depends on its neighbours.
    """
    found, rows, x = start.clone(), torch.arange(len(start), device=start.device), start.clone()
    d = neighbours(torch.ones_like(hole[:1]))
    hole = hole * (hole.flatten(1).amin(1) < 1).view(-1, *[1] * (x.ndim - 1))  # nothing given: it stays as filled
    residual = (neighbours(x) - d * x) * hole
    scaled = residual / d
    heading, square = scaled.clone(), _dot(residual, scaled)
    for iteration in range(math.prod(x.shape[2:])):
        if iteration % PATIENCE == 0:
            moving = scaled.abs().flatten(1).amax(1) > tolerance  # [n]
            found[rows[~moving]] = x[~moving]
            if not moving.any():
                return found
            if not moving.all():
                state = (rows, x, hole, residual, heading, square)
                rows, x, hole, residual, heading, square = (part[moving] for part in state)
        curved = torch.addcmul(d * heading, hole, neighbours(heading), value=-1)
        step = square / _dot(heading, curved).clamp_min(SMALLEST)
        x.addcmul_(step, heading)
        residual.addcmul_(step, curved, value=-1)
        scaled, before = residual / d, square
        square = _dot(residual, scaled)
        heading.mul_(square / before.clamp_min(SMALLEST)).add_(scaled)
    found[rows] = x
    return found


def _dot(one: Tensor, two: Tensor) -> Tensor:
    """The sum of products over all places [N, C, 1, …]."""
    return (one * two).sum(tuple(range(2, one.ndim)), keepdim=True)


def neighbours(values: Tensor) -> Tensor:
    """Return the weighted sum over each pixel's neighbours, of values [N, C, *extent] that are 0 outside.

    The weights are the products of 1, 2, 1 along every axis, without the pixel's own.

    >>> neighbours(torch.ones(1, 1, 3, 3))[0, 0].tolist()
    [[5.0, 8.0, 5.0], [8.0, 12.0, 8.0], [5.0, 8.0, 5.0]]
    """
    total = values
    for axis in range(2, values.ndim):
        inner, wide = values.shape[axis] - 1, 2 * total
        wide.narrow(axis, 1, inner).add_(total.narrow(axis, 0, inner))
        wide.narrow(axis, 0, inner).add_(total.narrow(axis, 1, inner))
        total = wide
    return torch.sub(total, values, alpha=2 ** (values.ndim - 2))
