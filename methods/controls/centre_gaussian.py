"""A bell in the middle: what a heatmap scores that bets on where photographers put things."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ambench.core import AttributionMethod, Concepts, Heatmaps, Model, Randomness


@dataclass(frozen=True)
class CentreGaussian(AttributionMethod):
    """The same map for every image: a round Gaussian, its standard deviation a quarter of the shortest side; score 0.

    >>> CentreGaussian().attribute(None, torch.zeros(1, 3, 5, 5), torch.zeros(1, 1), None, None).values.argmax()
    tensor(12)
    """

    control = True

    def attribute(
        self, model: Model, images: Tensor, targets: Tensor, concepts: Concepts, randomness: Randomness
    ) -> Heatmaps:
        """Return maps [B, T, *extent] in (0, 1] and scores of 0 [B, T]."""
        bell = _bell(images.shape[2:]).to(images.device)
        maps = bell.expand(len(images), targets.shape[1], *bell.shape)
        return Heatmaps(torch.zeros(len(images), targets.shape[1], device=images.device), maps.clone())


def _bell(extent: torch.Size) -> Tensor:
    """Return exp(-r^2 / 2 sd^2) about the centre of an extent."""
    squares = [(torch.arange(side) - (side - 1) / 2).square() for side in extent]
    distance = sum(grid for grid in torch.meshgrid(*squares, indexing="ij")) if squares else torch.zeros(())
    deviation = min(extent, default=1) / 4
    return torch.exp(-torch.as_tensor(distance) / (2 * deviation**2))
