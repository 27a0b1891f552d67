"""A map of noise: what a heatmap scores that knows neither the image nor the model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from ambench import explanations, features
from ambench.core import AttributionMethod, Concepts, Heatmaps, Model, Randomness


@dataclass(frozen=True)
class RandomMap(AttributionMethod):
    """Standard normal values, one stream for each image, and such a number as the score.

    `grid`: `cell` draws on the layer's cells and enlarges, as smooth as a CAM; `pixel` draws on the
    input's extent. `layer` (None: the model's default) gives the cells.

    >>> RandomMap(grid="pixel").control
    True
    """

    control = True
    stochastic = True

    grid: Literal["cell", "pixel"] = "cell"
    layer: str | None = None

    def attribute(
        self, model: Model, images: Tensor, targets: Tensor, concepts: Concepts, randomness: Randomness
    ) -> Heatmaps:
        """Return maps [B, T, *extent] and scores [B, T], drawn anew for each image and each target asked of it."""
        count = targets.shape[1]
        noise = randomness.normal(count, *self._cells(model, images)).to(images.device)  # [B, T, *cells]
        scores = randomness.normal(count, repeat=1).to(images.device)
        return Heatmaps(scores, explanations.upsample(noise, images.shape[2:]))

    def _cells(self, model: Model, images: Tensor) -> tuple[int, ...]:
        if self.grid == "pixel":
            return tuple(images.shape[2:])
        layer = model.at(self.layer).name
        return tuple(features.read(model, images[:1], [layer])[layer].shape[2:])
