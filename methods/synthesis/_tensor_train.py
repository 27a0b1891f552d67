"""A discrete density kept as a chain of small tensors, which learns from the best of its own draws.

(PROTES: Batsheva et al. 2023, arXiv 2301.12162.) P densities over choices of `n` points in each of `d` places are
learnt side by side; their cores are [P, d, r, n, r], and the chain begins and ends in the first of the `r` states.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ._spaces import REACH

LEAST = 1e-30  # keeps a chain that has come to nothing from dividing by it


@dataclass(frozen=True)
class Chain:
    """How the densities are made and taught: each round draws `population` codes and climbs towards the `elite` best.

    `points` of the range stand for each number, `rank` states link neighbours, and `climbs` steps of Adam with `rate`
    follow each round. `binary` splits a number's points into yes-or-no choices, of which there must be a power of two.
    """

    population: int = 100
    elite: int = 10
    rank: int = 5
    points: int = 64
    rate: float = 0.05
    climbs: int = 1
    binary: bool = False

    @property
    def digits(self) -> int:
        """How many choices stand for one number."""
        return self.points.bit_length() - 1 if self.binary else 1


class TensorTrains:
    """One search by a tensor train for each of P rows, each with a stream of chance of its own."""

    def __init__(self, chain: Chain, dimensions: int, streams: Sequence[torch.Generator]) -> None:
        self._chain = chain
        self._streams = streams
        self._places = dimensions * chain.digits
        points = 2 if chain.binary else chain.points
        shape = (self._places, chain.rank, points, chain.rank)
        cores = [torch.rand(shape, generator=stream, dtype=torch.float64) for stream in streams]
        self._cores = torch.stack(cores).requires_grad_()  # [P, d, r, n, r]
        self._adam = torch.optim.Adam([self._cores], lr=chain.rate)
        self._choices = torch.empty(0)

    def ask(self) -> Tensor:
        """Return the next codes of every row [P, k, d], drawn from its density."""
        shape = (self._chain.population, self._places)
        draws = torch.stack([torch.rand(shape, generator=stream, dtype=torch.float64) for stream in self._streams])
        with torch.no_grad():
            self._choices = sample(self._cores, draws)  # [P, k, places]
        return self._codes(self._choices)

    def tell(self, values: Tensor) -> None:
        """Make the best of the codes just asked for, by their values [P, k], more likely."""
        order = values.argsort(dim=1, descending=True, stable=True)[:, : self._chain.elite]  # [P, elite]
        best = self._choices.gather(1, order[:, :, None].expand(-1, -1, self._places))
        for _ in range(self._chain.climbs):
            with torch.enable_grad():
                loss = -log_likelihood(self._cores, best).mean(1).sum()
                (self._cores.grad,) = torch.autograd.grad(loss, self._cores)
            self._adam.step()

    def _codes(self, choices: Tensor) -> Tensor:
        """Return the codes [P, k, d] that choices [P, k, places] stand for: points from one end of the range on."""
        digits = choices.view(*choices.shape[:2], -1, self._chain.digits)
        numbers = (digits * 2 ** torch.arange(self._chain.digits - 1, -1, -1)).sum(3)  # [P, k, d]
        return REACH * (2 * numbers.double() / (self._chain.points - 1) - 1)


def sample(cores: Tensor, draws: Tensor) -> Tensor:
    """Return choices [P, k, d] for draws [P, k, d] uniform in [0, 1): place by place, given the places before.

    >>> cores = torch.zeros(1, 2, 1, 3, 1)
    >>> cores[0, 0, 0, 2, 0], cores[0, 1, 0, 0, 0] = 1, 1  # point 2, then point 0, and nothing else
    >>> sample(cores, torch.rand(1, 4, 2)).tolist()[0]
    [[2, 0], [2, 0], [2, 0], [2, 0]]
    """
    ahead = _ahead(cores)  # [P, d, r, n]
    left = _first_state(cores).unsqueeze(1).expand(-1, draws.shape[1], -1)  # [P, k, r]
    rows = torch.arange(len(cores))[:, None]
    found = []
    for place in range(cores.shape[1]):
        steps = (left @ ahead[:, place]).abs().cumsum(2)  # [P, k, n]
        wanted = draws[:, :, place, None] * steps[:, :, -1:]
        choice = torch.searchsorted(steps, wanted, right=True)[:, :, 0].clamp(max=steps.shape[2] - 1)  # [P, k]
        left = _normalised((left.unsqueeze(2) @ cores[rows, place, :, choice]).squeeze(2))
        found.append(choice)
    return torch.stack(found, 2)


def log_likelihood(cores: Tensor, choices: Tensor) -> Tensor:
    """Return the logarithm of the probability of choices [P, k, d], natural, [P, k]: the sum over places.

    A place's probabilities, given the places before it, are the absolute values of what the chain says, divided by
    their sum; so the probabilities of all choices add up to one whatever the cores hold.
    """
    ahead = _ahead(cores)  # [P, d, r, n]
    rows, places = torch.arange(len(cores))[:, None, None], torch.arange(cores.shape[1])
    links = cores[rows, places, :, choices]  # [P, k, d, r, r]
    left = _first_state(cores).unsqueeze(1).expand(-1, choices.shape[1], -1)  # [P, k, r]
    lefts = [left]
    for link in links.unbind(2)[:-1]:
        lefts.append(_normalised((lefts[-1].unsqueeze(2) @ link).squeeze(2)))
    weights = torch.einsum("pkdr,pdrn->pkdn", torch.stack(lefts, 2), ahead).abs()
    chosen = weights.gather(3, choices.unsqueeze(3)).squeeze(3)  # [P, k, d]
    return (chosen.clamp_min(LEAST).log() - weights.sum(3).clamp_min(LEAST).log()).sum(2)


def _ahead(cores: Tensor) -> Tensor:
    """Return each core with all that follows it summed out [P, d, r, n]."""
    right = _first_state(cores)  # [P, r]
    rights = [right]
    for core in cores.sum(3).unbind(1)[:0:-1]:
        rights.append(_normalised((core @ rights[-1].unsqueeze(2)).squeeze(2)))
    return torch.einsum("pdrns,pds->pdrn", cores, torch.stack(rights[::-1], 1))


def _first_state(cores: Tensor) -> Tensor:
    state = cores.new_zeros(len(cores), cores.shape[2])  # [P, r]
    state[:, 0] = 1
    return state


def _normalised(states: Tensor) -> Tensor:
    """Return states of length one; the length is no part of any probability, so no gradient goes through it."""
    lengths: Tensor = states.detach().norm(dim=-1, keepdim=True)
    return states / lengths.clamp_min(LEAST)
