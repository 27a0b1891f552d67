"""Outlines as signed distance functions: negative inside, zero on the outline, in units of the outline's radius."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

Silhouette = Callable[[Tensor, Tensor], Tensor]


def disc(x: Tensor, y: Tensor) -> Tensor:
    """A filled circle."""
    return torch.hypot(x, y) - 0.86


def square(x: Tensor, y: Tensor) -> Tensor:
    """Four equal sides."""
    return torch.maximum(x.abs(), y.abs()) - 0.76


def triangle(x: Tensor, y: Tensor) -> Tensor:
    """Three equal sides, one corner up."""
    slanted = math.sqrt(0.75) * x.abs() - 0.5 * y
    return torch.maximum(slanted, y) - 0.53


def star(x: Tensor, y: Tensor) -> Tensor:
    """Five points; the angle is folded into one half of one point."""
    sector = 2 * math.pi / 5
    angle = torch.atan2(x, -y)
    folded = (angle - sector * torch.round(angle / sector)).abs()
    radius = torch.hypot(x, y)
    tip, valley = 1.05, 0.44
    along, across = radius * torch.cos(folded), radius * torch.sin(folded)
    edge_x = valley * math.cos(sector / 2) - tip
    edge_y = valley * math.sin(sector / 2)
    return (across * -edge_x + (along - tip) * edge_y) / math.hypot(edge_x, edge_y)


def cross(x: Tensor, y: Tensor) -> Tensor:
    """Two bars of equal length at a right angle."""
    x, y = x.abs(), y.abs()
    return torch.maximum(torch.minimum(x, y) - 0.3, torch.maximum(x, y) - 0.95)


def crescent(x: Tensor, y: Tensor) -> Tensor:
    """A circle that lost a smaller one from its side."""
    return torch.maximum(torch.hypot(x, y) - 0.95, 0.74 - torch.hypot(x - 0.48, y))


def heart(x: Tensor, y: Tensor) -> Tensor:
    """A square on its corner with a half circle on both upper sides."""
    x, y, lobe = x.abs(), y + 0.08, 0.56
    body = (x + y.abs()) * math.sqrt(0.5) - lobe
    return torch.minimum(body, torch.hypot(x - lobe * math.sqrt(0.5), y + lobe * math.sqrt(0.5)) - lobe)


def arrow(x: Tensor, y: Tensor) -> Tensor:
    """A triangular head on a straight shaft, pointing up."""
    x = x.abs()
    head = torch.maximum((x - y) * math.sqrt(0.5) - 0.68, y + 0.02)
    shaft = torch.maximum(x - 0.27, (y - 0.45).abs() - 0.52)
    return torch.minimum(head, shaft)


SHAPES: dict[str, Silhouette] = {
    "disc": disc,
    "square": square,
    "triangle": triangle,
    "star": star,
    "cross": cross,
    "crescent": crescent,
    "heart": heart,
    "arrow": arrow,
}


def blob(x: Tensor, y: Tensor, wobble: Tensor) -> Tensor:
    """An irregular closed curve: a circle with three overtones of the sizes `wobble` [B, 3, 1, 1]."""
    radius = torch.hypot(x, y).clamp_(min=1e-6)
    cosine, sine = x / radius, y / radius
    second = 2 * sine * cosine
    third = cosine * (4 * cosine * cosine - 3)
    fourth = 1 - 2 * second * second
    outline = 1 + wobble[:, 0] * second + wobble[:, 1] * third + wobble[:, 2] * fourth
    return radius - 0.85 * outline
