"""Random changes of an image, each draw with a stream of its own: boxes removed, or noise subtracted."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from ambench.core import Randomness

Kind = Literal["boxes", "noise"]
SIDES = (1 / 8, 1 / 2)  # shortest and longest side of a box, as a share of the image's
DEVIATION = 0.1  # of noise


def drawn(kind: Kind, image: str, extent: tuple[int, ...], draws: range) -> Tensor:
    """Return some draws for one image, by its name [n, *extent]: boxes of ones, or noise.

    A draw depends on its number and the image's name alone.
    """
    randomness = Randomness(("faithfulness", "infidelity", kind), (image,))
    draw = _box if kind == "boxes" else _noise
    return torch.cat([draw(randomness, extent, number) for number in draws])


def changed(kind: Kind, image: Tensor, draws: Tensor, colour: Tensor) -> Tensor:
    """Return an image [C, *extent] less each of some draws [n, *extent], all channels alike, as [n, C, *extent].

    A box takes `colour` [C].
    """
    draws = draws.unsqueeze(1).to(image)
    if kind == "noise":
        return image - draws
    return torch.where(draws > 0, colour.to(image).view(-1, *[1] * (image.ndim - 1)), image)


def _noise(randomness: Randomness, extent: tuple[int, ...], number: int) -> Tensor:
    return DEVIATION * randomness.normal(*extent, repeat=number)


def _box(randomness: Randomness, extent: tuple[int, ...], number: int) -> Tensor:
    """A box that may reach over the edge, so that every pixel is as often inside as any other."""
    inside = torch.ones(1, *extent)
    lengths, places = randomness.uniform(2, len(extent), repeat=number)[0].tolist()
    for axis, side in enumerate(extent):
        length = max(1, round(side * (SIDES[0] + (SIDES[1] - SIDES[0]) * lengths[axis])))
        first = int(places[axis] * (side + length - 1)) - length + 1
        place = torch.arange(side).view(1, *[1] * axis, side, *[1] * (len(extent) - axis - 1))
        inside = inside * ((place >= first) & (place < first + length))
    return inside
