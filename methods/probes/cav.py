"""Concept activation vectors: a linear classifier's direction for a concept (Kim et al. 2018)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression  # type: ignore[import-untyped] # it ships no types

from ambench.core import Concepts, Directions, Model, ProbeMethod, Randomness

from ._linear import Array, Standard, direction, folds_of, held_out_accuracy, pooled, refuse_too_few, unit_vectors


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

    def fit(self, model: Model, concepts: Concepts, randomness: Randomness) -> Directions:
        """Return vectors [K, C], or [K, C, *cells] without pooling, and `details["accuracy"]`, balanced, out of fold.

        A concept that the features do not separate gets a zero vector; with fewer than five examples on either side the
        cell is Skipped.
        """
        refuse_too_few(concepts)
        layer = model.at(self.layer).name
        values = pooled(model, concepts, layer, self.pooling, self.chunk)
        standard = Standard.of(values.flatten(1).numpy())
        ids = concepts.ids or tuple(map(str, range(len(concepts))))
        fits, accuracies = [], []
        for present in concepts.present.T.cpu().numpy():
            fits.append(direction(standard, present, self._solve))
            accuracies.append(held_out_accuracy(standard, present, folds_of(present, ids), self._solve))
        vectors, bias = unit_vectors(fits, values.shape[1:])
        accuracy = torch.tensor(accuracies, dtype=torch.float64)
        device = model.device
        return Directions(vectors.to(device), bias.to(device), layer, self.pooling, {"accuracy": accuracy})

    def _solve(self, features: Array, present: NDArray[np.bool_]) -> tuple[Array, float]:
        weight = self.inverse_penalty or (1e-3 if self.pooling == "none" else 1.0)
        fit = LogisticRegression(C=weight, class_weight="balanced", tol=1e-6, max_iter=1000).fit(features, present)
        return fit.coef_[0], float(fit.intercept_[0])
