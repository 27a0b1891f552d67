"""What all linear probes share: features made comparable, a unit vector read back, accuracy on examples left out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ambench import explanations, features
from ambench.core import Concepts, Model, Randomness, Skipped

Array = NDArray[np.float64]
Solver = Callable[[Array, NDArray[np.bool_]], tuple[Array, float]]  # features [n, F], labels [n] -> vector [F], bias

FEWEST = 5  # examples on either side
FOLDS = 5
SMALLEST_WEIGHT = 1e-8  # a shorter vector, in standard features, separates nothing


def pooled(model: Model, concepts: Concepts, layer: str, pooling: features.Pooling, chunk: int) -> Tensor:
    """Return the pooled features of the examples [N, C] or [N, C, *cells], float64 on the processor."""
    grids = (features.read(model, part, [layer])[layer] for part in torch.split(concepts.images, chunk))
    return torch.cat([features.pool(grid, pooling).double().cpu() for grid in grids])


@dataclass(frozen=True, eq=False)
class Standard:
    """Features [N, F] moved to their mean [F] and divided by one number for all, so that no quiet feature grows loud.

    Probes with an L2 penalty depend on inner products alone, so with more features than examples they are given the
    features' coordinates [N, R] in an orthonormal basis [F, R] of the space the examples span.
    """

    coordinates: Array
    basis: Array | None
    centre: Array
    scale: float

    @staticmethod
    def of(values: Array) -> Standard:
        """Return the standard form; constant features have a scale of 0 and coordinates of 0."""
        centre = values.mean(0)
        moved = values - centre
        scale = float(np.sqrt(np.square(moved).mean()))
        if scale <= 1e-12 * max(1.0, float(np.abs(centre).max(initial=0.0))):
            return Standard(np.zeros_like(moved), None, centre, 0.0)
        moved /= scale
        if moved.shape[1] <= moved.shape[0]:
            return Standard(moved, None, centre, scale)
        basis, triangle = np.linalg.qr(moved.T)  # [F, N], [N, N]
        return Standard(triangle.T.copy(), basis, centre, scale)

    def restore(self, weights: Array, intercept: float) -> tuple[Array, float]:
        """Return vector [F] and bias, for the features as they were, of those for the coordinates."""
        vector = (weights if self.basis is None else self.basis @ weights) / self.scale
        return vector, intercept - float(vector @ self.centre)


def direction(standard: Standard, present: NDArray[np.bool_], solve: Solver) -> tuple[Array, float]:
    """Return a concept's vector [F] and bias, both zero where nothing separates the examples."""
    if not standard.scale:
        return np.zeros_like(standard.centre), 0.0
    weights, intercept = solve(standard.coordinates, present)
    if np.linalg.norm(weights) < SMALLEST_WEIGHT:
        return np.zeros_like(standard.centre), 0.0
    return standard.restore(weights, intercept)


def held_out_accuracy(standard: Standard, present: NDArray[np.bool_], folds: NDArray[np.int64], solve: Solver) -> float:
    """Return the balanced accuracy on examples whose fold the probe has not seen: .5 is chance."""
    logits = np.zeros(len(present))
    for fold in range(FOLDS):
        out = folds == fold
        weights, intercept = solve(standard.coordinates[~out], present[~out])
        logits[out] = standard.coordinates[out] @ weights + intercept
    right = np.where(np.abs(logits) < SMALLEST_WEIGHT, 0.5, (logits > 0) == present)
    return float((right[present].mean() + right[~present].mean()) / 2)


def folds_of(present: NDArray[np.bool_], ids: Sequence[str]) -> NDArray[np.int64]:
    """Return each example's fold [N]: as many of either side in each, by the example's name and not by its place."""
    luck = Randomness(("folds",), tuple(ids)).uniform().numpy()
    folds = np.zeros(len(present), dtype=np.int64)
    for side in (present, ~present):
        folds[np.flatnonzero(side)[np.argsort(luck[side])]] = np.arange(side.sum()) % FOLDS
    return folds


def refuse_too_few(concepts: Concepts) -> None:
    """Raise Skipped for a concept with fewer than five examples on either side."""
    for name, shown in zip(concepts.names, concepts.present.sum(0).tolist(), strict=True):
        missing = len(concepts) - shown
        if min(shown, missing) < FEWEST:
            raise Skipped(
                f"a probe needs {FEWEST} examples with and {FEWEST} without '{name}'; there are {shown} and {missing}"
            )


def unit_vectors(fits: Sequence[tuple[Array, float]], shape: torch.Size) -> tuple[Tensor, Tensor]:
    """Return vectors [K, *shape] of unit length and their biases [K], float32."""
    vectors = torch.from_numpy(np.stack([vector for vector, _ in fits])).reshape(-1, *shape)
    bias = torch.tensor([bias for _, bias in fits], dtype=torch.float64)
    vectors, bias = explanations.normalised(vectors, bias)
    return vectors.float(), bias.float()
