"""What makes a picture unnatural, as a cost [P] for each: pixels that vary, stray or leave the range, foreign textures.

Costs of pixels are divided by their number, so that a weight means the same at every size (Mahendran & Vedaldi 2016,
arXiv 1512.02017).
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

GREY = 0.5
FLAT = 1e-6  # a squared difference below it has no slope


def total_variation(images: Tensor, power: float = 2.0) -> Tensor:
    """Return the summed length of each image's gradient to the `power` [P], by forward differences, over H W.

    The last row and column have no neighbour, and a difference of 0. Images [P, C, *extent].

    >>> step = torch.zeros(1, 1, 8, 8)
    >>> step[..., 4:] = 1
    >>> total_variation(step)
    tensor([0.1250])
    """
    squared = torch.zeros_like(images)
    for axis in range(2, images.ndim):
        squared = squared + _ahead(images.diff(dim=axis), axis).square()
    lengths = squared.clamp_min(FLAT).pow(power / 2)
    lengths = torch.where(squared > FLAT, lengths, torch.zeros_like(lengths))
    return lengths.flatten(1).sum(1) / _pixels(images)


def extremes(images: Tensor, power: float = 6.0) -> Tensor:
    """Return the distance of each pixel's colour from grey to the `power`, averaged over pixels [P].

    >>> extremes(torch.ones(1, 1, 2, 2))
    tensor([0.0156])
    """
    return (images - GREY).square().sum(1).flatten(1).pow(power / 2).sum(1) / _pixels(images)


def out_of_bounds(images: Tensor) -> Tensor:
    """Return the mean square by which values leave [0, 1] [P].

    >>> out_of_bounds(torch.tensor([[[2.0, 0.5]]]))
    tensor([0.5000])
    """
    return ((images - 1).clamp_min(0).square() + (-images).clamp_min(0).square()).flatten(1).mean(1)


def energy(images: Tensor) -> Tensor:
    """Return the mean squared distance from grey [P].

    >>> energy(torch.ones(1, 1, 2, 2))
    tensor([0.2500])
    """
    return (images - GREY).square().flatten(1).mean(1)


def contrast_difference(images: Tensor, deviation: Tensor) -> Tensor:
    """Return the squared distance of the channels' standard deviations from those of natural images [C], summed [P].

    >>> contrast_difference(torch.tensor([[[0.0, 1.0]]]), torch.tensor([0.25]))
    tensor([0.0625])
    """
    own = images.flatten(2).std(2, correction=0)
    return (own - deviation).square().sum(1)


def deviation_of(images: Tensor) -> Tensor:
    """Return the mean standard deviation of each channel within natural images [C]."""
    return images.flatten(2).std(2, correction=0).mean(0)


def gram(grid: Tensor) -> Tensor:
    """Return the products of a grid's channels, averaged over cells and channels [N, C, C] (arXiv 1508.06576).

    >>> gram(torch.tensor([[[1.0, 3.0], [0.0, 2.0]]]))
    tensor([[[2.5000, 1.5000],
             [1.5000, 1.0000]]])
    """
    flat = grid.flatten(2)
    return flat @ flat.transpose(1, 2) / (flat.shape[1] * flat.shape[2])


def style_difference(grid: Tensor, natural: Tensor) -> Tensor:
    """Return the squared distance of each grid's channel products from those of natural images [C, C] [P]."""
    return (gram(grid) - natural).square().flatten(1).sum(1)


def likeness(grid: Tensor, group: int) -> Tensor:
    """Return how alike a portrait's channel products are to those of its unit's other portraits [P], in [-1, 1].

    Rows come in groups of one unit; the mean cosine with the others is what `diversity` costs (Olah et al. 2017). One
    portrait alone is like nobody: 0.

    >>> likeness(torch.tensor([[[1.0]], [[2.0]]]), group=2)
    tensor([1., 1.])
    """
    if group < 2:
        return grid.new_zeros(len(grid))
    styles = F.normalize(gram(grid).flatten(1), dim=1).view(-1, group, grid.shape[1] ** 2)
    return ((styles @ styles.transpose(1, 2)).sum(2) - 1).flatten() / (group - 1)


def _ahead(differences: Tensor, axis: int) -> Tensor:
    """Return differences with a zero behind the last along one axis."""
    margins = [0, 0] * (differences.ndim - 1 - axis) + [0, 1]
    return F.pad(differences, margins)


def _pixels(images: Tensor) -> int:
    return math.prod(images.shape[2:])
