"""Random changes of an image, each draw with a stream of its own: boxes removed, or noise subtracted."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from ambench.core import Randomness

from ._inputs import mixed

Kind = Literal["boxes", "columns", "noise"]
SIDES = (1 / 8, 1 / 2)  # shortest and longest side of a box, as a share of the image's; or share of the columns
DEVIATION = 0.1  # of noise


def drawn(kind: Kind, image: str, extent: tuple[int, ...], draws: range, total: int) -> Tensor:
    """Return some of `total` draws for one image, by its name [n, *extent]: boxes or columns of ones, or noise.

    What is drawn depends on the image's name, the draw's number and the total, but not on which are asked for.
    """
    randomness = Randomness(("faithfulness", "infidelity", kind), (image,))
    if kind == "noise":
        return DEVIATION * torch.cat([randomness.normal(*extent, repeat=number) for number in draws])
    numbers = randomness.uniform(total, *((extent[0] + 1,) if kind == "columns" else (2, len(extent))))[0]
    some = numbers[draws.start : draws.stop].double()
    return (_columns(some) if kind == "columns" else _boxes(some, extent)).float()


def changed(kind: Kind, images: Tensor, draws: Tensor, nothing: Tensor) -> Tensor:
    """Return images [n, C, *extent] each less one of the draws [n, *extent], all channels alike.

    What is drawn takes the values of `nothing` [1, C, *extent], but noise is subtracted.
    """
    draws = draws.unsqueeze(1).to(images)
    return images - draws if kind == "noise" else mixed(draws, nothing, images)


def _columns(numbers: Tensor) -> Tensor:
    """Return which columns are drawn [n, D], from numbers [n, D + 1]: at least one, each as likely as any other."""
    order, share = numbers[:, 1:].argsort(1).argsort(1), SIDES[0] + (SIDES[1] - SIDES[0]) * numbers[:, :1]
    return order < (share * order.shape[1]).round().clamp_min(1)


def _boxes(numbers: Tensor, extent: tuple[int, ...]) -> Tensor:
    """Return boxes [n, *extent] from numbers [n, 2, axes]: their sides, and where they lie.

    They may reach over the edge, so that every pixel is as often inside as any other.
    """
    inside = torch.ones(len(numbers), *[1] * len(extent), dtype=torch.bool)
    for axis, side in enumerate(extent):
        length = (side * (SIDES[0] + (SIDES[1] - SIDES[0]) * numbers[:, 0, axis])).round().clamp_min(1)  # [n]
        first = (numbers[:, 1, axis] * (side + length - 1)).floor() - length + 1
        place = torch.arange(side)
        along = (place >= first[:, None]) & (place < (first + length)[:, None])  # [n, side]
        inside = inside & along.view(-1, *[1] * axis, side, *[1] * (len(extent) - axis - 1))
    return inside
