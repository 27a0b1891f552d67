"""Many logistic regressions on the same examples at once, by truncated Newton steps (Lin et al. 2008)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

NEWTON_STEPS = 100
CONJUGATE_STEPS = 300
HALVINGS = 30
ROUNDING = 1e-12  # of the sum of the weights: a smaller gradient is none


@dataclass(frozen=True, eq=False)
class Logistic:
    """Q problems: least of sum_i weights_iq log(1 + exp(-signs_iq (z_i v_q + b_q))) + |v_q|^2 / 2 over v_q and b_q.

    `design` [N, R + 1] are the features and a column of ones; `signs` [N, Q] are +-1; weight 0 leaves an example out.
    """

    design: Tensor
    signs: Tensor
    weights: Tensor

    @staticmethod
    def balanced(features: Tensor, present: Tensor, used: Tensor, inverse_penalty: float) -> Logistic:
        """Return the problems in which both sides of `present` [N, Q] weigh the same among the examples `used` [N, Q].

        The weights are those of scikit-learn's `class_weight="balanced"`, times its C.
        """
        sides = (present & used, ~present & used)
        weights = sum(used.sum(0) / (2 * side.sum(0)).clamp_min(1) * side for side in sides)
        design = torch.cat([features, torch.ones_like(features[:, :1])], 1)
        return Logistic(design, 2.0 * present.to(features) - 1, inverse_penalty * torch.as_tensor(weights).to(features))

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

    def _ridge(self, solution: Tensor) -> Tensor:
        return torch.cat([solution[:-1], torch.zeros_like(solution[-1:])])

    def _gradient(self, solution: Tensor, logits: Tensor) -> Tensor:
        pull = self.weights * self.signs * torch.sigmoid(-self.signs * logits)
        return self._ridge(solution) - self.design.T @ pull  # [R + 1, Q]

    def _newton_step(self, gradient: Tensor, logits: Tensor, precision: Tensor) -> Tensor:
        """Return the solution [R + 1, Q] of curvature x step = gradient, to a relative residual of `precision` [Q]."""
        spread = self.weights * torch.sigmoid(logits) * torch.sigmoid(-logits)  # [N, Q]
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
        before = self._loss(solution, logits)
        length = torch.ones_like(before)
        for _ in range(HALVINGS):
            after = self._loss(solution - length * step, logits - length * change)
            enough = after <= before - 1e-4 * length * descent + 1e-13 * before.abs()
            if bool(enough.all()):
                break
            length = torch.where(enough, length, length / 2)
        return length

    def _loss(self, solution: Tensor, logits: Tensor) -> Tensor:
        return (self.weights * F.softplus(-self.signs * logits)).sum(0) + solution[:-1].square().sum(0) / 2


def _ratio(above: Tensor, below: Tensor) -> Tensor:
    """Return above / below, 0 where there is nothing left to divide."""
    return torch.where(below > 0, above / below.clamp_min(torch.finfo(below.dtype).tiny), torch.zeros_like(below))
