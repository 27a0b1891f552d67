"""Many linear classifiers on the same examples at once, by truncated Newton steps (Lin et al. 2008)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

NEWTON_STEPS = 100
CONJUGATE_STEPS = 300
HALVINGS = 30
ROUNDING = 1e-12  # of the sum of the weights: a smaller gradient is none

Loss = Literal["logistic", "svm"]


@dataclass(frozen=True, eq=False)
class Classifiers:
    """Q problems: least of sum_i weights_iq loss(signs_iq (z_i v_q + b_q)) + penalties_q |v_q|^2 / 2 over v_q and b_q.

    The loss of a margin m is log(1 + exp(-m)) (`logistic`) or max(0, 1 - m)^2 (`svm`). `design` [N, R + 1] are the
    features and a column of ones; `signs` [N, Q] are +-1; weight 0 leaves an example out.
    """

    design: Tensor
    signs: Tensor
    weights: Tensor
    penalties: Tensor
    loss: Loss = "logistic"

    def solve(self, start: Tensor | None = None, tolerance: float = 1e-9) -> Tensor:
        """Return weights and, last, intercepts [R + 1, Q], by Newton steps that conjugate gradients find.

        They end when every gradient is below `tolerance` times that at zero, or is rounding.
        """
        solution = self.design.new_zeros(self.design.shape[1], self.signs.shape[1])
        least = self._gradient(solution, self.design @ solution).norm(dim=0)  # [Q]
        least = torch.maximum(least, ROUNDING * self.weights.sum(0))
        solution = solution if start is None else start.clone()
        for _ in range(NEWTON_STEPS):
            logits = self.design @ solution  # [N, Q]
            gradient = self._gradient(solution, logits)
            left = gradient.norm(dim=0) / least
            if bool((left <= tolerance).all()):
                break
            step = self._newton_step(gradient, logits, left.sqrt().clamp_max(0.1))
            solution = solution - step * self._length(solution, logits, step, gradient)
        return solution

    def _value(self, logits: Tensor) -> Tensor:
        margins = self.signs * logits
        return F.softplus(-margins) if self.loss == "logistic" else (1 - margins).clamp_min(0).square()

    def _slope(self, logits: Tensor) -> Tensor:
        """Return how fast the loss falls as the logit moves to its sign's side [N, Q]."""
        margins = self.signs * logits
        return torch.sigmoid(-margins) if self.loss == "logistic" else 2 * (1 - margins).clamp_min(0)

    def _curvature(self, logits: Tensor) -> Tensor:
        if self.loss == "logistic":
            return torch.sigmoid(logits) * torch.sigmoid(-logits)
        return 2.0 * (self.signs * logits < 1)

    def _ridge(self, solution: Tensor) -> Tensor:
        return torch.cat([self.penalties * solution[:-1], torch.zeros_like(solution[-1:])])

    def _gradient(self, solution: Tensor, logits: Tensor) -> Tensor:
        pull = self.weights * self.signs * self._slope(logits)
        return self._ridge(solution) - self.design.T @ pull  # [R + 1, Q]

    def _newton_step(self, gradient: Tensor, logits: Tensor, precision: Tensor) -> Tensor:
        """Return the solution [R + 1, Q] of curvature x step = gradient, to a relative residual of `precision` [Q]."""
        spread = self.weights * self._curvature(logits)  # [N, Q]
        diagonal = self._ridge(torch.ones_like(gradient)) + self.design.square().T @ spread
        diagonal = diagonal.clamp_min(torch.finfo(gradient.dtype).tiny)
        step, residual = torch.zeros_like(gradient), gradient
        eased = residual / diagonal
        way, energy = eased, (residual * eased).sum(0)
        for _ in range(CONJUGATE_STEPS):
            if bool((residual.norm(dim=0) <= precision * gradient.norm(dim=0)).all()):
                break
            bent = self._ridge(way) + self.design.T @ (spread * (self.design @ way))
            amount = _ratio(energy, (way * bent).sum(0))
            step, residual = step + amount * way, residual - amount * bent
            eased = residual / diagonal
            fresh = (residual * eased).sum(0)
            way, energy = eased + _ratio(fresh, energy) * way, fresh
        return step

    def _length(self, solution: Tensor, logits: Tensor, step: Tensor, gradient: Tensor) -> Tensor:
        """Return how much of each step [Q] to take: the first of 1, 1/2, 1/4 … that lowers its loss enough."""
        change = self.design @ step
        descent = (gradient * step).sum(0)
        before = self._total(solution, logits)
        length = torch.ones_like(before)
        for _ in range(HALVINGS):
            after = self._total(solution - length * step, logits - length * change)
            enough = after <= before - 1e-4 * length * descent + 1e-13 * before.abs()
            if bool(enough.all()):
                break
            length = torch.where(enough, length, length / 2)
        return length

    def _total(self, solution: Tensor, logits: Tensor) -> Tensor:
        return (self.weights * self._value(logits)).sum(0) + self.penalties * solution[:-1].square().sum(0) / 2


def _ratio(above: Tensor, below: Tensor) -> Tensor:
    """Return above / below, 0 where there is nothing left to divide."""
    return torch.where(below > 0, above / below.clamp_min(torch.finfo(below.dtype).tiny), torch.zeros_like(below))
