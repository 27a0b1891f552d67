"""Class activation maps: a layer's grid and its gradients read together, any number of them from one pass."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ambench import explanations, features
from ambench.core import AttributionMethod, Concepts, Heatmaps, InputError, Model, Randomness


@dataclass(frozen=True)
class CamMethod(AttributionMethod):
    """A map that is made of a layer's grid and of the target's gradient there, and of nothing else."""

    adds_up: ClassVar[bool] = False  # whether the signed map's cells claim to add up to the logit

    layer: str | None = None
    relu: bool = True

    @abstractmethod
    def combine(self, grid: Tensor, gradient: Tensor) -> Tensor:
        """Return signed maps [B, T, *cells] of a grid [B, C, *cells] and its gradients [B, T, C, *cells]."""

    def attribute(
        self, model: Model, images: Tensor, targets: Tensor, concepts: Concepts, randomness: Randomness
    ) -> Heatmaps:
        """Return maps [B, T, *extent], enlarged from cells, and their scores [B, T].

        A score is the mean of the largest 5 % of the map's cells, or their sum where it claims to be the logit. Raises
        InputError for a layer whose cells do not reach the output, or that has none.
        """
        return together(model, images, targets, [self])[0]

    def maps(self, grid: Tensor, gradient: Tensor, layer: str) -> Tensor:
        """Return the maps [B, T, *cells], what speaks against the target cut off if `relu` says so."""
        require_cells(grid, layer)
        maps = self.combine(grid, gradient)
        return maps.relu() if self.relu else maps

    def score(self, maps: Tensor) -> Tensor:
        """Return the scores [B, T] of maps [B, T, *cells]."""
        if self.adds_up and not self.relu:
            return maps.double().flatten(2).sum(2).float()
        return explanations.top_share(maps)


def weighted(grid: Tensor, weights: Tensor) -> Tensor:
    """Return the sums [B, T, *cells] of a grid's channels [B, C, *cells], each times its weight [B, T, C]."""
    return torch.einsum("btc,bc...->bt...", weights, grid)


def require_cells(grid: Tensor, layer: str) -> None:
    """Raise InputError for a layer's grid [B, C, *cells] that has none."""
    if grid.ndim < 3:
        raise InputError(f"layer '{layer}' has channels but no cells to make a map of; name an earlier layer")


def together(model: Model, images: Tensor, targets: Tensor, methods: Sequence[CamMethod]) -> list[Heatmaps]:
    """Return the answers of several methods, at one layer or many, from one forward and one backward."""
    layers = [model.at(method.layer).name for method in methods]
    taps = features.gradients(model, images, targets, layers)
    answers = []
    for method, layer in zip(methods, layers, strict=True):
        maps = method.maps(taps.grids[layer], taps.gradients[layer], layer)
        answers.append(Heatmaps(method.score(maps), explanations.upsample(maps, images.shape[2:]).float()))
    return answers
