"""Blurred edges: what a heatmap scores that sees the image but no model."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ambench import explanations
from ambench.blur import blurred, pixels
from ambench.core import AttributionMethod, Concepts, Heatmaps, Model, Randomness


@dataclass(frozen=True)
class Edges(AttributionMethod):
    """The sum over channels and axes of the absolute step to the next pixel, blurred; the same for every target.

    >>> Edges().attribute(None, torch.ones(1, 3, 8, 8), torch.zeros(1, 1), None, None).values.abs().max()
    tensor(0.)
    """

    control = True

    def attribute(
        self, model: Model, images: Tensor, targets: Tensor, concepts: Concepts, randomness: Randomness
    ) -> Heatmaps:
        """Return maps [B, T, *extent], never negative; a map's score is the mean of its top 5 %."""
        maps = blurred(steps(images), pixels(images.shape[2:])).unsqueeze(1)  # [B, 1, *extent]
        maps = maps.expand(-1, targets.shape[1], *maps.shape[2:]).float().clone()
        return Heatmaps(explanations.top_share(maps), maps)


def steps(images: Tensor) -> Tensor:
    """Return the summed absolute forward differences [B, *extent] of images [B, C, *extent]; the last has none.

    >>> steps(torch.tensor([[[0.0, 1.0, 1.0]]]))
    tensor([[1., 0., 0.]])
    """
    total = torch.zeros_like(images[:, 0])
    for axis in range(2, images.ndim):
        step = images.diff(dim=axis).abs().sum(1)
        total.narrow(axis - 1, 0, step.shape[axis - 1]).add_(step)
    return total
