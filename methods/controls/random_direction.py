"""A direction drawn from the sphere: what a probe scores that has learned nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from ambench import features
from ambench.core import Concepts, Directions, Model, ProbeMethod, Randomness


@dataclass(frozen=True)
class RandomDirection(ProbeMethod):
    """A uniformly random unit vector for each concept, undecided on half of the examples.

    `layer` (None: the model's default) and `pooling` as in the probe it stands beside; `chunk` examples at a time.

    >>> RandomDirection(pooling="none").stochastic
    True
    """

    control = True
    stochastic = True
    supervision = "contrast images"

    layer: str | None = None
    pooling: Literal["mean", "max", "none"] = "mean"
    chunk: int = 64

    def fit(self, model: Model, concepts: Concepts, randomness: Randomness) -> Directions:
        """Return vectors [K, C], or [K, C, *cells] without pooling, and the biases that put the median example at 0."""
        layer = model.at(self.layer).name
        parts = [features.read(model, part, [layer])[layer] for part in torch.split(concepts.images, self.chunk)]
        pooled = torch.cat([features.pool(part, self.pooling) for part in parts])  # [N, C] or [N, C, *cells]
        vectors = torch.stack([self._draw(pooled.shape[1:], name, randomness) for name in concepts.names]).to(pooled)
        middle = (pooled.flatten(1) @ vectors.flatten(1).T).median(0).values  # [K]
        return Directions(vectors, -middle, layer, self.pooling)

    def _draw(self, shape: torch.Size, name: str, randomness: Randomness) -> Tensor:
        vector = torch.randn(shape, generator=randomness.generator("direction", name))
        length: Tensor = torch.linalg.vector_norm(vector)
        return vector / length
