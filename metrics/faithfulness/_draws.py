"""Random changes of an image, each draw with a stream of its own: boxes removed, or noise subtracted."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from ambench.core import Randomness

Kind = Literal["boxes", "columns", "noise"]
SIDES = (1 / 8, 1 / 2)  # shortest and longest side of a box, as a share of the image's; or share of the columns
DEVIATION = 0.1  # of noise


def drawn(kind: Kind, image: str, extent: tuple[int, ...], draws: range) -> Tensor:
    """Return some draws for one image, by its name [n, *extent]: boxes or columns of ones, or noise.

    A draw depends on its number and the image's name alone.
    """
    randomness = Randomness(("faithfulness", "infidelity", kind), (image,))
    draw = {"boxes": _box, "columns": _columns, "noise": _noise}[kind]
    return torch.cat([draw(randomness, extent, number) for number in draws])


def changed(kind: Kind, image: Tensor, draws: Tensor, nothing: Tensor) -> Tensor:
    """Return an image [C, *extent] less each of some draws [n, *extent], all channels alike, as [n, C, *extent].

    What is drawn takes the values of `nothing` [1, C, *extent], but noise is subtracted.
    """
    draws = draws.unsqueeze(1).to(image)
    return image - draws if kind == "noise" else torch.where(draws > 0, nothing, image)


def _noise(randomness: Randomness, extent: tuple[int, ...], number: int) -> Tensor:
    return DEVIATION * randomness.normal(*extent, repeat=number)


def _columns(randomness: Randomness, extent: tuple[int, ...], number: int) -> Tensor:
    """At least one of the columns, each as likely as any other."""
    order, share = (
        randomness.uniform(*extent, repeat=number).argsort(1),
        randomness.child("share").uniform(1, repeat=number),
    )
    count = (extent[0] * (SIDES[0] + (SIDES[1] - SIDES[0]) * share)).round().clamp_min(1)  # [1, 1]
    return (order < count).float()


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
