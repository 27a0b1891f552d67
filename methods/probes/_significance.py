"""Whether scores of a concept differ from those of chance: Welch's test, Holm's correction, a shuffled label's p."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from scipy.stats import norm
from scipy.stats import t as student
from torch import Tensor

from ._examples import UNDECIDED

CONFIDENCE = 0.95


@dataclass(frozen=True, eq=False)
class Difference:
    """Of two groups of scores: two-sided p, difference of means, and its 95 % interval [..., 2]; float64."""

    p: Tensor
    effect: Tensor
    interval: Tensor


def welch(one: Tensor, other: Tensor) -> Difference:
    """Return how the means of two groups of scores [n, ...] and [m, ...] differ, by Welch's t-test (1947).

    Where neither group varies there is no t: p is then that of the exact permutation test, 1 for equal groups and
    otherwise 2 / (n + m over n), since no other division of the scores is as extreme.

    >>> found = welch(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([2.0, 4.0, 6.0]))
    >>> round(found.p.item(), 4), found.effect.item()
    (0.2209, -2.0)
    >>> welch(torch.ones(3), torch.zeros(3)).p.item()
    0.1
    """
    n, m = len(one), len(other)
    one, other = one.double().cpu(), other.double().cpu()
    effect = one.mean(0) - other.mean(0)
    still = (one.amax(0) == one.amin(0)) & (other.amax(0) == other.amin(0))
    parts = torch.where(still, 1.0, one.var(0) / n), torch.where(still, 1.0, other.var(0) / m)
    error = (parts[0] + parts[1]).sqrt()
    freedom = error**4 / (parts[0] ** 2 / (n - 1) + parts[1] ** 2 / (m - 1))
    other_division = torch.full_like(effect, min(1.0, 2 / math.comb(n + m, n)))
    exact = torch.where(one[0] == other[0], torch.ones_like(effect), other_division)
    p = torch.where(still, exact, _numbers(2 * student.sf((effect / error).abs().numpy(), freedom.numpy())))
    half = _numbers(student.ppf((1 + CONFIDENCE) / 2, freedom.numpy())) * torch.where(still, 0.0, error)
    return Difference(p, effect, torch.stack([effect - half, effect + half], -1))


def holm(p: Tensor, tested: Tensor | None = None) -> Tensor:
    """Return p-values [...] adjusted for as many tests as there are (Holm 1979); 1 where nothing was `tested` [...].

    >>> holm(torch.tensor([0.01, 0.04, 0.03], dtype=torch.float64)).tolist()
    [0.03, 0.06, 0.06]
    """
    tested = torch.ones_like(p, dtype=torch.bool) if tested is None else tested
    adjusted = torch.ones_like(p)
    ranked, order = p[tested].sort()
    left = torch.arange(len(ranked), 0, -1, device=p.device)
    found = torch.empty_like(ranked)
    found[order] = (ranked * left).clamp_max(1).cummax(0).values if len(ranked) else ranked
    adjusted[tested] = found
    return adjusted


def shuffled_p(score: Tensor, shuffled: Tensor) -> Tensor:
    """Return how often a shuffled label's score [S, ...] is as far from .5 as the score [...]; (1 + count) / (1 + S).

    >>> shuffled_p(torch.tensor(0.9), torch.tensor([0.5, 0.05, 0.7])).item()
    0.5
    """
    as_far = (shuffled - 0.5).abs() >= (score - 0.5).abs() - 1e-12
    return (1 + as_far.double().sum(0)) / (1 + len(shuffled))


def farthest(shuffled: Tensor, tested: Tensor) -> Tensor:
    """Return the score of each shuffle [S] that is farthest from .5 among scores [S, ...], where it is `tested` [...].

    Held against it, the largest of many tests is no surprise (Westfall & Young 1993).

    >>> farthest(torch.tensor([[0.4, 0.9], [0.2, 0.5]]), torch.tensor([True, True])).tolist()
    [0.8999999761581421, 0.800000011920929]
    """
    away = (shuffled - 0.5).abs().masked_fill(~tested, 0)
    return 0.5 + away.flatten(1).amax(1)


def at_chance(logits: Tensor, present: Tensor) -> Tensor:
    """Return whether a probe may be a coin [K]: the 95 % interval of its balanced accuracy does not lie above .5.

    `logits` [N, K] are out of fold. The interval is normal, its spread that of shares with one example more on either
    side of being right, so that a few examples judged alike prove nothing.

    >>> present = torch.arange(40)[:, None] < 20
    >>> right = torch.where(present, 1.0, -1.0)
    >>> at_chance(right, present).item(), at_chance(torch.ones_like(right), present).item()
    (False, True)
    """
    right = torch.where(logits.abs() < UNDECIDED, 0.5, ((logits > 0) == present).double())
    accuracy, variance = torch.zeros_like(right[0]), torch.zeros_like(right[0])
    for side in (present, ~present):
        count, judged = side.sum(0), (right * side).sum(0)
        careful = (judged + 1) / (count + 2)
        accuracy += judged / count.clamp_min(1) / 2
        variance += careful * (1 - careful) / count.clamp_min(1) / 4
    return accuracy - float(norm.ppf((1 + CONFIDENCE) / 2)) * variance.sqrt() <= 0.5


def _numbers(found: Any) -> Tensor:
    return torch.as_tensor(found, dtype=torch.float64)
