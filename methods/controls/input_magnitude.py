"""Blurred distance from the mean colour: what a heatmap scores that multiplies by the input and knows nothing else."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ambench import explanations
from ambench.blur import blurred, pixels
from ambench.core import AttributionMethod, Concepts, Heatmaps, Model, Randomness


@dataclass(frozen=True)
class InputMagnitude(AttributionMethod):
    """The sum over channels of a pixel's absolute distance from the examples' mean colour, blurred.

    Without examples the mean colour is middle grey.

    >>> InputMagnitude().control
    True
    """

    control = True
    supervision = "contrast images"

    def attribute(
        self, model: Model, images: Tensor, targets: Tensor, concepts: Concepts, randomness: Randomness
    ) -> Heatmaps:
        """Return maps [B, T, *extent], never negative; a map's score is the mean of its top 5 %."""
        colour = concepts.mean.to(images).view(-1, *[1] * (images.ndim - 2))  # [C, 1, …]
        maps = blurred((images - colour).abs().sum(1), pixels(images.shape[2:])).unsqueeze(1)  # [B, 1, *extent]
        maps = maps.expand(-1, targets.shape[1], *maps.shape[2:]).float().clone()
        return Heatmaps(explanations.top_share(maps), maps)
