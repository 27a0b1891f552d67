"""Fits that show how far chance alone carries: to other negatives, to random splits, to shuffled labels."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ambench.explanations import SMALLEST_NORM

from ._classifier import Classifier, Planes, balance
from ._design import Design
from ._newton import Classifiers
from ._probe import Sample


@dataclass(frozen=True, eq=False)
class Nulls:
    """Directions for K concepts as shares of N examples: what is learnt is the sum of them, less their mean, by share.

    `refits` [S, K, N] learnt from all images with the concept and a random half of those without; `splits` [S, K, N]
    told two random halves of the images without it apart (one of the two mirrored directions each); `shuffled`
    [P, K, N] learnt from shuffled labels. A direction is never written out: a layer may be wide, and there are many.
    """

    refits: Tensor
    splits: Tensor
    shuffled: Tensor

    @staticmethod
    def of(classifier: Classifier, design: Design, sample: Sample, refits: int, shuffles: int) -> Nulls:
        """Return S `refits` and P `shuffles`; what is drawn for an example depends on its id alone.

        All are samples of the examples, so a penalty weighs the same in each as in the probe itself.
        """
        present, hidden = sample.present, ~sample.present
        half = hidden.sum(0) // 2
        used = present[..., None] | lowest(lots(sample, "tcav refit", refits), hidden, hidden.sum(0) - half)
        sides = lowest(lots(sample, "tcav split", refits), hidden, half)
        mixed = lowest(lots(sample, "tcav shuffle", shuffles), torch.ones_like(present), present.sum(0))
        problems = ((present[..., None].expand_as(used), used), (sides, hidden[..., None].expand_as(sides)))
        found = [
            classifier.solve(design, labels.flatten(1), counts.flatten(1), resampled=True)
            for labels, counts in problems
        ]
        found.append(_of_all(classifier, design, mixed.flatten(1)))
        return Nulls(*(_shares(planes).reshape(*present.shape, -1).permute(2, 1, 0) for planes in found))


def lots(sample: Sample, what: str, count: int) -> Tensor:
    """Return `count` random numbers for each example [N, count], by its id, whatever its place and company."""
    ids = sample.concepts.ids or tuple(map(str, range(len(sample.concepts))))
    return replace(sample.randomness.child(what), ids=ids).uniform(count).to(sample.present.device)


def lowest(drawn: Tensor, among: Tensor, count: Tensor) -> Tensor:
    """Return which examples have the `count` [K] lowest of each lot [N, S] among some of them [N, K]: [N, K, S] bool.

    >>> among = torch.tensor([[True], [True], [False], [True]])
    >>> lowest(torch.tensor([[0.4], [0.2], [0.1], [0.3]]), among, torch.tensor([2])).flatten().tolist()
    [False, True, False, True]
    """
    lot = torch.where(among[..., None], drawn[:, None], torch.inf)
    place: Tensor = lot.argsort(dim=0, stable=True).argsort(dim=0, stable=True)
    return among[..., None] & (place < count[:, None])


def _shares(planes: Planes) -> Tensor:
    """Return solutions as shares of the examples [N, Q]; zero where nothing separates."""
    axes = planes.design.coordinates
    pieces = axes / axes.square().sum(0).clamp_min(1e-300)  # of examples, that add up to the axes themselves
    if planes.shares is not None:
        shares = planes.shares
    elif planes.weights is not None:
        shares = pieces @ planes.weights
    else:
        shares = pieces @ (pieces.T @ planes.design.times(planes.vectors))
    alive: Tensor = (axes.T @ shares).norm(dim=0) >= SMALLEST_NORM
    return shares * alive


def _of_all(classifier: Classifier, design: Design, present: Tensor) -> Planes:
    """Return fits to labels [N, Q] of all examples; ridge by conjugate gradients, which the axes make quick."""
    if classifier.solver != "ridge":
        return classifier.solve(design, present)
    columns = torch.cat([design.coordinates, torch.ones_like(design.coordinates[:, :1])], 1)
    penalties = columns.new_full((present.shape[1],), 2 / classifier.strength)
    solved = _LeastSquares(columns, 2.0 * present - 1, balance(present), penalties).solve()
    return Planes(design, solved[-1], weights=solved[:-1])


class _LeastSquares(Classifiers):
    """Ridge regressions to the signs; a margin m costs (1 - m)^2."""

    def _value(self, logits: Tensor) -> Tensor:
        return (1 - self.signs * logits).square()

    def _slope(self, logits: Tensor) -> Tensor:
        return 2 * (1 - self.signs * logits)

    def _curvature(self, logits: Tensor) -> Tensor:
        return torch.full_like(logits, 2.0)
