"""Grad-CAM: a layer's channels, weighted by their mean gradient (Selvaraju et al. 2017)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ambench import explanations, features
from ambench.core import AttributionMethod, Concepts, Heatmaps, InputError, Model, Randomness


@dataclass(frozen=True)
class Gradcam(AttributionMethod):
    """The sum of a layer's channels, each times the mean of its gradient over the cells (arXiv 1610.02391).

    `layer` (None: the model's default) is where channels are read; `relu` keeps only what speaks for the target.

    >>> Gradcam(relu=False).relu
    False
    """

    citation = "Selvaraju et al. 2017, arXiv 1610.02391"

    layer: str | None = None
    relu: bool = True

    def attribute(
        self, model: Model, images: Tensor, targets: Tensor, concepts: Concepts, randomness: Randomness
    ) -> Heatmaps:
        """Return maps [B, T, *extent], enlarged from cells; a map's score is the mean of its top 5 % of cells.

        Raises InputError for a layer whose cells do not reach the output, or that has none.
        """
        layer = model.at(self.layer).name
        taps = features.gradients(model, images, targets, [layer])
        maps = self.maps(taps.grids[layer], taps.gradients[layer], layer)
        return Heatmaps(explanations.top_share(maps), explanations.upsample(maps, images.shape[2:]).float())

    def maps(self, grid: Tensor, gradient: Tensor, layer: str) -> Tensor:
        """Return the maps [B, T, *cells] of a grid [B, C, *cells] and its gradients [B, T, C, *cells]."""
        if grid.ndim < 3:
            raise InputError(f"layer '{layer}' has channels but no cells to make a map of; name an earlier layer")
        weights = gradient.flatten(3).mean(3)  # [B, T, C]
        maps = torch.einsum("btc,bc...->bt...", weights, grid)
        return maps.relu() if self.relu else maps
