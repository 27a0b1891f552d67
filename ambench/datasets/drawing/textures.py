"""Surface patterns as signed distances in pattern periods: positive on the figure, negative on the ground."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

Texture = Callable[[Tensor, Tensor], Tensor]


def bar(u: Tensor) -> Tensor:
    """Distance into a bar that fills half of each period."""
    return (u - torch.floor(u) - 0.5).abs() - 0.25


def centred(u: Tensor) -> Tensor:
    """Distance from the middle of the period, always positive."""
    return (u - torch.round(u)).abs()


def stripes(u: Tensor, v: Tensor) -> Tensor:
    """Straight parallel bars."""
    return bar(u)


def checks(u: Tensor, v: Tensor) -> Tensor:
    """A chessboard."""
    first, second = bar(u * 0.75), bar(v * 0.75)
    return torch.maximum(torch.minimum(first, -second), torch.minimum(-first, second)) / 0.75


def dots(u: Tensor, v: Tensor) -> Tensor:
    """Round spots, every other column shifted by half a period."""
    column = torch.floor(u + 0.5)
    shifted = v + 0.5 * (column - 2 * torch.floor(column / 2))
    return 0.33 - torch.hypot(centred(u), centred(shifted))


def waves(u: Tensor, v: Tensor) -> Tensor:
    """Parallel bars that swing from side to side."""
    return bar(u + 0.42 * torch.sin(v * (2 * math.pi / 2.1)))


def bricks(u: Tensor, v: Tensor) -> Tensor:
    """Courses of long stones with thin mortar, every other course shifted by half a stone."""
    course = torch.floor(v + 0.5)
    along = u / 1.9 + 0.5 * (course - 2 * torch.floor(course / 2))
    return torch.minimum((0.5 - centred(along)) * 1.9, 0.5 - centred(v)) - 0.13


def weave(u: Tensor, v: Tensor) -> Tensor:
    """Squares of bars that run up in one square and across in the next."""
    cell = torch.floor(u / 1.5) + torch.floor(v / 1.5)
    upright = (cell - 2 * torch.floor(cell / 2)) > 0.5
    return bar(torch.where(upright, u, v) / 0.75) * 0.75


def blotches(u: Tensor, v: Tensor) -> Tensor:
    """Large rounded patches without a repeat."""
    first = torch.sin(3.1 * u + 1.9 * torch.sin(1.7 * v))
    second = torch.sin(2.7 * v + 1.6 * torch.sin(1.3 * u + 0.8))
    return (first + second) * 0.22


def grain(u: Tensor, v: Tensor) -> Tensor:
    """Small squares, each figure or ground by a hash of its place."""
    column, row = torch.floor(u * 2.4).long(), torch.floor(v * 2.4).long()
    mixed = (column * 7919 + 104729) * (row * 6271 + 15485863)
    mixed = ((mixed ^ (mixed >> 13)) & 0x3FFFFFFF) * 1274126177
    return ((mixed >> 27) & 1).float() - 0.5


TEXTURES: dict[str, Texture] = {
    "stripes": stripes,
    "checks": checks,
    "dots": dots,
    "waves": waves,
    "bricks": bricks,
    "weave": weave,
    "blotches": blotches,
    "grain": grain,
}
