"""A Gaussian blur as a matrix for each axis, applied image by image so that no batch rounds it otherwise."""

from __future__ import annotations

import math

import torch
from torch import Tensor

REACH = 3  # standard deviations after which the bell is cut


def blurred(images: Tensor, deviation: float) -> Tensor:
    """Return images [B, C, *extent] behind a Gaussian blur, its deviation in pixels; edges go on outside.

    >>> blurred(torch.ones(1, 1, 5, 4), 2.0).allclose(torch.ones(1, 1, 5, 4))
    True
    """
    bells = [_bell(side, deviation).to(images) for side in images.shape[2:]]
    return torch.stack([_one(image, bells) for image in images]) if len(images) else images


def _one(image: Tensor, bells: list[Tensor]) -> Tensor:
    for axis, bell in enumerate(bells, 1):
        image = torch.tensordot(image, bell, dims=([axis], [1])).movedim(-1, axis)
    return image


def _bell(side: int, deviation: float) -> Tensor:
    """Return the matrix [side, side] that blurs one axis; what lies outside is the nearest pixel inside."""
    reach = max(1, math.ceil(REACH * deviation))
    steps = torch.arange(-reach, reach + 1)
    weights = torch.exp(-0.5 * (steps / deviation).double().square())
    source = (torch.arange(side)[:, None] + steps).clamp(0, side - 1)  # [side, 2 * reach + 1]
    bell = torch.zeros(side, side, dtype=torch.float64)
    return bell.scatter_add_(1, source, (weights / weights.sum()).expand(side, -1))
