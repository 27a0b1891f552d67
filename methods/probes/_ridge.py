"""Many weighted ridge regressions on the same examples at once: primal, or dual where that is smaller."""

from __future__ import annotations

import torch
from torch import Tensor

from ._design import Design, pieces

NUMBERS = 1 << 22  # of the systems that are solved at a time


def ridge(design: Design, signs: Tensor, weights: Tensor, penalties: Tensor) -> tuple[Tensor, Tensor]:
    """Return vectors [F, Q] and intercepts [Q]: least of sum_i weights_iq (signs_iq - z_i v - b)^2 + penalties_q |v|^2.

    A problem's examples are those with a weight above 0; all problems share one matrix of inner products.
    """
    if not in_dual(design, weights):
        return primal(design, signs, weights, penalties)
    shares, intercepts = dual(design, signs, weights, penalties)
    return design.combine(shares), intercepts


def in_dual(design: Design, weights: Tensor) -> bool:
    """Whether the largest of the problems [N, Q] has fewer examples than there are features."""
    return _most_used(weights) < design.activations.width


def dual(design: Design, signs: Tensor, weights: Tensor, penalties: Tensor) -> tuple[Tensor, Tensor]:
    """Return the shares [N, Q] of which the vectors are the examples' sums, and the intercepts [Q]."""
    shares, intercepts = torch.zeros_like(weights), torch.zeros_like(penalties)
    used = _most_used(weights)
    for part in pieces(weights.shape[1], max(1, NUMBERS // max(1, used * used))):
        rows = weights[:, part].T.topk(used, dim=1)[1].sort(1)[0]  # [q, n]
        weight, sign = (every[:, part].T.gather(1, rows) for every in (weights, signs))
        system = design.gram[rows[:, :, None], rows[:, None, :]]  # [q, n, n]
        system.diagonal(dim1=1, dim2=2).add_(penalties[part, None] / weight.clamp_min(1e-300))
        right = torch.stack([sign, torch.ones_like(sign)], 2)
        solved = torch.cholesky_solve(right, torch.linalg.cholesky(system)) * (weight > 0)[:, :, None]
        level = solved[:, :, 0].sum(1) / solved[:, :, 1].sum(1)  # with it, the shares add up to 0
        share = solved[:, :, 0] - level[:, None] * solved[:, :, 1]
        shares[:, part] = torch.zeros_like(weights[:, part]).T.scatter(1, rows, share).T
        intercepts[part] = level
    return shares, intercepts


def primal(design: Design, signs: Tensor, weights: Tensor, penalties: Tensor) -> tuple[Tensor, Tensor]:
    """Return vectors [F, Q] and intercepts [Q]."""
    width, share = design.activations.width, weights / weights.sum(0)
    level = (share * signs).sum(0)  # [Q]
    means, onto = design.combine(share), design.combine(weights * (signs - level))  # [F, Q]
    vectors = torch.empty_like(means)
    for part in pieces(weights.shape[1], max(1, NUMBERS // max(1, width * width))):
        total, mean = weights[:, part].sum(0), means[:, part].T  # [q], [q, F]
        system = -total[:, None, None] * mean[:, :, None] * mean[:, None, :]  # [q, F, F]
        for rows, block in design.rows():
            for place, weight in enumerate(weights[rows, part].T):
                system[place] += (block.T * weight) @ block
        system.diagonal(dim1=1, dim2=2).add_(penalties[part, None])
        solved = torch.cholesky_solve(onto[:, part].T[:, :, None], torch.linalg.cholesky(system))
        vectors[:, part] = solved[:, :, 0].T
    return vectors, level - (means * vectors).sum(0)


def _most_used(weights: Tensor) -> int:
    return int((weights > 0).sum(0).max())
