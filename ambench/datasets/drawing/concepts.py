"""Four small things that lie on a picture whatever its object is: marker, patch, glyph and ring."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Colour = tuple[float, float, float]
Layers = tuple[Tensor, Tensor, Colour, Colour]
Concept = Callable[[Tensor, Tensor], Layers]


def segment(x: Tensor, y: Tensor, start: tuple[float, float], end: tuple[float, float]) -> Tensor:
    """Distance to the straight line between two points."""
    run, rise = end[0] - start[0], end[1] - start[1]
    along = (((x - start[0]) * run + (y - start[1]) * rise) / (run * run + rise * rise)).clamp_(0, 1)
    return torch.hypot(x - start[0] - along * run, y - start[1] - along * rise)


def marker(x: Tensor, y: Tensor) -> Layers:
    """A red disc with a white rim."""
    distance = torch.hypot(x, y)
    return distance - 1, distance - 0.78, (1.0, 1.0, 1.0), (0.88, 0.08, 0.10)


def patch(x: Tensor, y: Tensor) -> Layers:
    """A square of black and white stripes."""
    u = x / 0.7 + 0.25
    stripe = ((u - torch.floor(u) - 0.5).abs() - 0.25) * 0.7
    return torch.maximum(x.abs(), y.abs()) - 0.88, stripe, (1.0, 1.0, 1.0), (0.02, 0.02, 0.02)


def glyph(x: Tensor, y: Tensor) -> Layers:
    """A yellow letter A with a dark edge."""
    left = segment(x, y, (-0.62, 0.72), (0.0, -0.72))
    right = segment(x, y, (0.62, 0.72), (0.0, -0.72))
    middle = segment(x, y, (-0.36, 0.26), (0.36, 0.26))
    stroke = torch.minimum(torch.minimum(left, right), middle)
    return stroke - 0.33, stroke - 0.16, (0.08, 0.05, 0.20), (1.0, 0.93, 0.15)


def ring(x: Tensor, y: Tensor) -> Layers:
    """A green ring through which one sees what lies behind."""
    distance = (torch.hypot(x, y) - 0.76).abs()
    return distance - 0.24, distance - 0.24, (0.05, 0.72, 0.16), (0.05, 0.72, 0.16)


CONCEPTS: dict[str, Concept] = {"marker": marker, "patch": patch, "glyph": glyph, "ring": ring}

_GEOMETRY = ("hflip", "translate", "rotate", "scale")
_LIGHT = ("brightness", "contrast", "blur", "noise", "jpeg", "cutout")
_COLOUR = ("hue", "grey")

# Which augmentations leave each concept what it is: a marker is red and a ring green, the other two are forms alone.
KEEPS: dict[str, tuple[str, ...]] = {
    "marker": _GEOMETRY + _LIGHT,
    "patch": _GEOMETRY + _LIGHT + _COLOUR,
    "glyph": _GEOMETRY + _LIGHT + _COLOUR,
    "ring": _GEOMETRY + _LIGHT,
}
