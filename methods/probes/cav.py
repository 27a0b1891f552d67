"""Concept activation vectors: a linear classifier's direction for a concept (Kim et al. 2018)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from ambench.core import Concepts, Directions, InputError, Model, ProbeMethod, Randomness

from ._linear import FOLDS, Standard, balanced_accuracy, folds, pooled, refuse_too_few
from ._logistic import Logistic

ROUGH = 1e-3  # enough to see on which side of a fold's boundary an example lies


@dataclass(frozen=True)
class Cav(ProbeMethod):
    """Logistic regression on a layer's features, with and without the concept weighing the same (arXiv 1711.11279).

    `layer` (None: the model's default) is where features are read, `chunk` examples at a time. `pooling`: their `mean`
    or `max` over cells, which does not care where the concept is, or `none`, which keeps a weight for each cell.
    `inverse_penalty` (None: 1, and .001 without pooling) is the C of scikit-learn, on centred features of unit spread.

    >>> Cav(pooling="none").supervision
    'concept images'
    """

    citation = "Kim et al. 2018, arXiv 1711.11279"
    supervision = "concept images"

    layer: str | None = None
    pooling: Literal["mean", "max", "none"] = "mean"
    inverse_penalty: float | None = None
    chunk: int = 64

    def __post_init__(self) -> None:
        if self.chunk < 1 or not (self.inverse_penalty is None or self.inverse_penalty > 0):
            raise InputError("cav needs a chunk of at least 1 and an inverse_penalty above 0")

    def fit(self, model: Model, concepts: Concepts, randomness: Randomness) -> Directions:
        """Return vectors [K, C], or [K, C, *cells] without pooling, and `details["accuracy"]`, balanced, out of fold.

        A concept that the features do not separate gets a zero vector; with fewer than five examples on either side the
        cell is Skipped.
        """
        refuse_too_few(concepts)
        layer = model.at(self.layer).name
        values = pooled(model, concepts, layer, self.pooling, self.chunk)
        standard = Standard.of(values.flatten(1))
        present = concepts.present.to(values.device)
        weights = self._problems(standard, present, torch.ones_like(present)).solve()  # [R + 1, K]
        vectors, bias = standard.restore(weights)
        vectors = vectors.reshape(-1, *values.shape[1:])
        accuracy = self._accuracy(standard, present, folds(concepts).to(values.device), weights)
        return Directions(vectors.float(), bias.float(), layer, self.pooling, {"accuracy": accuracy})

    def _problems(self, standard: Standard, present: Tensor, used: Tensor) -> Logistic:
        weight = self.inverse_penalty or (1e-3 if self.pooling == "none" else 1.0)
        return Logistic.balanced(standard.coordinates, present, used, weight)

    def _accuracy(self, standard: Standard, present: Tensor, fold: Tensor, weights: Tensor) -> Tensor:
        """Return the balanced accuracy [K] on examples that a probe fitted to the other folds has not seen."""
        used = torch.cat([fold != number for number in range(FOLDS)], 1)  # [N, FOLDS * K]
        problems = self._problems(standard, present.repeat(1, FOLDS), used)
        solved = problems.solve(weights.repeat(1, FOLDS), ROUGH)
        logits = (problems.design @ solved).masked_fill(used, 0).reshape(len(fold), FOLDS, -1).sum(1)  # [N, K]
        return balanced_accuracy(logits, present)
