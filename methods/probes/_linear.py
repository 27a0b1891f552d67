"""What all linear probes share: features made comparable, a unit vector read back, examples left out for checking."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ambench import explanations, features
from ambench.core import Concepts, InputError, Model, Randomness, Skipped

FEWEST = 5  # examples on either side
FOLDS = 5
SMALLEST_WEIGHT = 1e-8  # a shorter vector, in standard features, separates nothing
SMALLEST_SPREAD = 1e-6  # relative to the largest mean: below lies rounding of the network's float32


def pooled(model: Model, concepts: Concepts, layer: str, pooling: features.Pooling, chunk: int) -> Tensor:
    """Return the pooled features of the examples [N, C] or [N, C, *cells], float64; InputError if one is not finite."""
    grids = (features.read(model, part, [layer])[layer] for part in torch.split(concepts.images, chunk))
    values = torch.cat([features.pool(grid, pooling).double() for grid in grids])
    for row in (~values.flatten(1).isfinite().all(1)).nonzero().flatten().tolist():
        name = concepts.ids[row] if concepts.ids else f"number {row}"
        raise InputError(f"example {name} has features at layer '{layer}' that are not finite; leave it out")
    return values


@dataclass(frozen=True, eq=False)
class Standard:
    """Features [N, F] moved to their mean [F] and divided by one number for all, so that no quiet feature grows loud.

    Probes with an L2 penalty depend on inner products alone, so they are given `coordinates` [N, R] along the principal
    axes [F, R] instead: there are never more of them than examples, and they curve a loss independently of each other.
    """

    coordinates: Tensor
    axes: Tensor
    centre: Tensor
    scale: float

    @staticmethod
    def of(values: Tensor) -> Standard:
        """Return the standard form of features [N, F]; constant ones have coordinates of 0."""
        centre = values.mean(0)
        moved = values - centre
        scale = float(moved.square().mean().sqrt())
        if scale <= SMALLEST_SPREAD * float(centre.abs().max()):
            return Standard(values.new_zeros(len(values), 1), values.new_zeros(values.shape[1], 1), centre, 1.0)
        moved = moved / scale
        if moved.shape[1] <= moved.shape[0]:
            axes = torch.linalg.eigh(moved.T @ moved).eigenvectors  # [F, F]
            return Standard(moved @ axes, axes, centre, scale)
        energy, sides = torch.linalg.eigh(moved @ moved.T)  # [N], [N, N]
        kept = energy > 1e-12 * energy.max()
        axes = moved.T @ (sides[:, kept] / energy[kept].sqrt())  # [F, R]
        return Standard(sides[:, kept] * energy[kept].sqrt(), axes, centre, scale)

    def restore(self, weights: Tensor) -> tuple[Tensor, Tensor]:
        """Return unit vectors [Q, F] and biases [Q] of weights and intercepts [R + 1, Q]; zero if none separates."""
        alive = weights[:-1].norm(dim=0) >= SMALLEST_WEIGHT
        vectors = (self.axes @ weights[:-1]).T / self.scale  # [Q, F]
        bias = weights[-1] - vectors @ self.centre
        vectors, bias = explanations.normalised(vectors, bias)
        return vectors * alive[:, None], bias * alive


def folds(concepts: Concepts) -> Tensor:
    """Return the fold of each example for each concept [N, K]: as many of either side in each, by the ids."""
    ids = concepts.ids or tuple(map(str, range(len(concepts))))
    order = Randomness(("folds",), ids).uniform().argsort()
    number = torch.empty(concepts.present.shape, dtype=torch.long)
    present = concepts.present.cpu()[order]
    for side in (present, ~present):
        number[order] = torch.where(side, (side.cumsum(0) - 1) % FOLDS, number[order])
    return number.to(concepts.present.device)


def balanced_accuracy(logits: Tensor, present: Tensor) -> Tensor:
    """Return the mean share judged rightly of both sides [K], from logits and truth [N, K]; a logit of 0 is a coin.

    >>> balanced_accuracy(torch.tensor([[1.0], [-1.0], [0.0]]), torch.tensor([[True], [True], [False]]))
    tensor([0.5000], dtype=torch.float64)
    """
    right = ((logits > 0) == present).double()
    right = torch.where(logits.abs() < SMALLEST_WEIGHT, 0.5, right)
    sides = [(right * side).sum(0) / side.sum(0) for side in (present, ~present)]
    return (sides[0] + sides[1]) / 2


def refuse_too_few(concepts: Concepts) -> None:
    """Raise Skipped for a concept with fewer than five examples on either side."""
    for name, shown in zip(concepts.names, concepts.present.sum(0).tolist(), strict=True):
        missing = len(concepts) - shown
        if min(shown, missing) < FEWEST:
            raise Skipped(
                f"a probe needs {FEWEST} examples with and {FEWEST} without '{name}'; there are {shown} and {missing}"
            )
