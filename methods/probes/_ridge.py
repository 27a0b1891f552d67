"""Many weighted ridge regressions on the same examples at once: primal, or dual where that is smaller."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from ._design import Design

NUMBERS = 1 << 24  # of the systems that are solved at a time


def ridge(design: Design, signs: Tensor, weights: Tensor, penalties: Tensor) -> tuple[Tensor, Tensor]:
    """Return vectors [F, Q] and intercepts [Q]: least of sum_i weights_iq (signs_iq - z_i v - b)^2 + penalties_q |v|^2.

    A problem's examples are those with a weight above 0; all problems share one matrix of inner products.
    """
    used = int((weights > 0).sum(0).max())
    return (
        _dual(design, signs, weights, penalties, used)
        if used < design.activations.width
        else _primal(design, signs, weights, penalties)
    )


def _dual(design: Design, signs: Tensor, weights: Tensor, penalties: Tensor, used: int) -> tuple[Tensor, Tensor]:
    shares, intercepts = torch.zeros_like(weights), torch.zeros_like(penalties)
    for part in _parts(weights.shape[1], used * used):
        weight, rows = weights[:, part].T.topk(used, dim=1)  # [q, n]
        sign = signs[:, part].T.gather(1, rows)
        share = weight / weight.sum(1, keepdim=True)
        kernel = design.gram[rows[:, :, None], rows[:, None, :]]  # [q, n, n]
        onto_mean = (kernel @ share[:, :, None])[:, :, 0]  # [q, n] inner products with the weighted mean
        length = (share * onto_mean).sum(1)  # [q]
        kernel = kernel - onto_mean[:, :, None] - onto_mean[:, None, :] + length[:, None, None]
        root, level = weight.sqrt(), (share * sign).sum(1)
        system = root[:, :, None] * kernel * root[:, None, :]
        system.diagonal(dim1=1, dim2=2).add_(penalties[part, None])
        right = root * (sign - level[:, None])
        pull = root * torch.cholesky_solve(right[:, :, None], torch.linalg.cholesky(system))[:, :, 0]
        pull = pull - share * pull.sum(1, keepdim=True)
        shares[:, part] = torch.zeros_like(weights[:, part]).T.scatter_add(1, rows, pull).T
        intercepts[part] = level - (pull * onto_mean).sum(1)
    return design.combine(shares), intercepts


def _primal(design: Design, signs: Tensor, weights: Tensor, penalties: Tensor) -> tuple[Tensor, Tensor]:
    width, share = design.activations.width, weights / weights.sum(0)
    level = (share * signs).sum(0)  # [Q]
    means, onto = design.combine(share), design.combine(weights * (signs - level))  # [F, Q]
    vectors = torch.empty_like(means)
    for part in _parts(weights.shape[1], width * width):
        total, mean = weights[:, part].sum(0), means[:, part].T  # [q], [q, F]
        system = -total[:, None, None] * mean[:, :, None] * mean[:, None, :]  # [q, F, F]
        for rows, block in design.rows():
            for place, weight in enumerate(weights[rows, part].T):
                system[place] += (block.T * weight) @ block
        system.diagonal(dim1=1, dim2=2).add_(penalties[part, None])
        solved = torch.cholesky_solve(onto[:, part].T[:, :, None], torch.linalg.cholesky(system))
        vectors[:, part] = solved[:, :, 0].T
    return vectors, level - (means * vectors).sum(0)


def _parts(count: int, size: int) -> Iterator[slice]:
    step = max(1, NUMBERS // max(1, size))
    for start in range(0, count, step):
        yield slice(start, min(start + step, count))
