"""Linear classifiers of features with a concept against features without, both sides weighing the same."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import torch
from sklearn.linear_model import SGDClassifier
from torch import Tensor

from ambench.core import InputError, Pooling

from ._design import Design
from ._newton import Classifiers
from ._ridge import dual, in_dual, primal

Solver = Literal["logistic", "svm", "sgd", "ridge"]
EXACT, ROUGH = 1e-9, 1e-5  # the second is enough to see on which side of a fold's boundary an example lies


@dataclass(frozen=True, eq=False)
class Planes:
    """Q solutions: intercepts [Q], and vectors of standard features [F, Q], or what these are made of.

    That is weights [R, Q] of their coordinates, or shares [N, Q] of the examples. Either says what the logits are, so
    that no vector of F numbers is made where only logits are asked for.
    """

    design: Design
    intercepts: Tensor
    plain: Tensor | None = None
    weights: Tensor | None = None
    shares: Tensor | None = None

    @cached_property
    def vectors(self) -> Tensor:
        """Vectors of standard features [F, Q]."""
        if self.plain is not None:
            return self.plain
        if self.shares is not None:
            return self.design.combine(self.shares)
        assert self.weights is not None
        return self.design.vectors_of(self.weights)

    @cached_property
    def logits(self) -> Tensor:
        """What they say of each example [N, Q]."""
        if self.weights is not None:
            return self.design.coordinates @ self.weights + self.intercepts
        if self.shares is not None:
            return self.design.gram @ self.shares + self.intercepts
        return self.design.times(self.vectors) + self.intercepts

    def restored(self) -> tuple[Tensor, Tensor]:
        """Return unit vectors [Q, F] and biases [Q] for the features as they are."""
        return self.design.restore(self.vectors, self.intercepts)


@dataclass(frozen=True)
class Classifier:
    """How two sides are told apart; `inverse_penalty` (None: by `pooling`) is the C of scikit-learn, or 1 / alpha.

    logistic: C 1, and .001 without pooling; svm: a tenth of that, squared hinge; sgd: hinge with TCAV's settings (alpha
    .01, 1000 epochs, tolerance .001); ridge: targets +-1, alpha 1.
    """

    solver: Solver = "logistic"
    inverse_penalty: float | None = None
    pooling: Pooling = "mean"

    def __post_init__(self) -> None:
        if self.inverse_penalty is not None and not self.inverse_penalty > 0:
            raise InputError(f"inverse_penalty is above 0, not {self.inverse_penalty}")

    @property
    def strength(self) -> float:
        """The inverse penalty that holds."""
        usual = 1e-3 if self.pooling == "none" else 1.0
        return self.inverse_penalty or {"logistic": usual, "svm": usual / 10, "sgd": 1.0, "ridge": 1.0}[self.solver]

    def solve(
        self,
        design: Design,
        present: Tensor,
        counts: Tensor | None = None,
        seed: int = 0,
        rough: bool = False,
        resampled: bool = False,
    ) -> Planes:
        """Return the Q solutions for `present` [N, Q] bool; counts [N, Q] say how often an example is in a problem.

        `resampled`: as if features were standardised anew in each problem, so that the penalty weighs the same.
        """
        penalties = spread(design, counts) if resampled and counts is not None else None
        return self.weighted(design, present, balance(present, counts), penalties, seed, rough)

    def weighted(
        self,
        design: Design,
        present: Tensor,
        weights: Tensor,
        penalties: Tensor | None = None,
        seed: int = 0,
        rough: bool = False,
    ) -> Planes:
        """Return the Q solutions for examples that weigh `weights` [N, Q], with penalties [Q] (None: 1)."""
        signs = 2.0 * present.to(weights) - 1
        penalties = torch.ones_like(weights[0]) if penalties is None else penalties
        if self.solver == "ridge":
            return self._ridge(design, signs, weights, penalties / self.strength)
        if self.solver == "sgd":
            return self._sgd(design, signs, weights, seed)
        columns = torch.cat([design.coordinates, torch.ones_like(signs[:, :1])], 1)
        problems = Classifiers(columns, signs, self.strength * weights, penalties, self.solver)
        solved = problems.solve(tolerance=ROUGH if rough else EXACT)
        return Planes(design, solved[-1], weights=solved[:-1])

    def _ridge(self, design: Design, signs: Tensor, weights: Tensor, penalties: Tensor) -> Planes:
        if in_dual(design, weights):
            shares, intercepts = dual(design, signs, weights, penalties)
            return Planes(design, intercepts, shares=shares)
        vectors, intercepts = primal(design, signs, weights, penalties)
        return Planes(design, intercepts, vectors)

    def _sgd(self, design: Design, signs: Tensor, weights: Tensor, seed: int) -> Planes:
        """Return what stochastic gradients find, problem by problem; a rotation of the features changes nothing."""
        features = (design.coordinates if design.wide else torch.cat([block for _, block in design.rows()])).cpu()
        found = torch.zeros(features.shape[1] + 1, weights.shape[1], dtype=torch.float64)
        for problem in range(weights.shape[1]):
            weight, sign = weights[:, problem].cpu(), signs[:, problem].cpu()
            used = weight > 0
            if (sign[used] > 0).all() or (sign[used] < 0).all():  # nothing to tell apart: a zero vector
                continue
            classifier = SGDClassifier(alpha=0.01 / self.strength, max_iter=1000, tol=1e-3, random_state=seed)
            classifier.fit(features[used].numpy(), sign[used].numpy(), sample_weight=weight[used].numpy())
            found[:-1, problem] = torch.from_numpy(classifier.coef_[0])
            found[-1, problem] = float(classifier.intercept_[0])
        found = found.to(design.centre)
        parts = {"weights": found[:-1]} if design.wide else {"plain": found[:-1]}
        return Planes(design, found[-1], **parts)


def balance(present: Tensor, counts: Tensor | None = None) -> Tensor:
    """Return weights [N, Q] with which both sides of each problem weigh the same, n / 2 of its n examples each.

    >>> balance(torch.tensor([[True], [True], [False]])).T.tolist()
    [[0.75, 0.75, 1.5]]
    """
    counts = torch.ones_like(present, dtype=torch.float64) if counts is None else counts.double()
    total = counts.sum(0)
    sides = ((counts * present).sum(0), (counts * ~present).sum(0))
    shares = [total / (2 * side.clamp_min(1e-300)) for side in sides]
    return counts * torch.where(present, shares[0], shares[1])


def spread(design: Design, counts: Tensor) -> Tensor:
    """Return the mean square of the features around their mean in each sample [Q], over that of all examples."""
    share = counts.double() / counts.sum(0)
    squares = design.squares
    means = (share * (design.gram @ share)).sum(0) if design.wide else design.combine(share).square().sum(0)
    return ((squares @ share - means) / squares.mean().clamp_min(1e-300)).clamp_min(1e-12)
