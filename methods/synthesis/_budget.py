"""Spends a budget of evaluations on a search: what was best after each of them, and what is best in the end."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

WORST = -1e300  # the value of a code that the network has no finite answer to
RISE = 1e-6  # a smaller difference, relative to 1 + |the first value|, is none


@dataclass(frozen=True, eq=False)
class Groups:
    """Which rows try the same codes: row p those of group `of[p]`; `keys` name the groups' chance."""

    of: Tensor
    keys: tuple[Hashable, ...]


@dataclass(frozen=True, eq=False)
class Party:
    """A search and the groups of rows that it proposes codes to."""

    search: Search
    groups: Groups


Evaluate = Callable[[Tensor, Groups, int, int], Tensor]  # codes [R, k, d], groups, passes, round -> values [P, k]


class Search(Protocol):
    """What proposes codes and learns from their values; its generations are as large as it likes."""

    def ask(self) -> Tensor:
        """Return the next codes [R, k, d] of R groups of rows."""

    def tell(self, values: Tensor) -> None:
        """Learn from the values [P, k] of the codes just asked for: more is better."""


@dataclass(frozen=True, eq=False)
class Found:
    """What a search has found for each of P rows.

    `codes` [P, d] and their `values` [P]; `curve` [P, evaluations] is the best so far after each evaluation; `blind`
    [P] the mean value of blind draws; `alive` [P] whether values ever differed; `evaluations` [P] how many images a row
    has had evaluated; `seconds` those of the search without the network.
    """

    codes: Tensor
    values: Tensor
    curve: Tensor
    blind: Tensor
    alive: Tensor
    evaluations: Tensor
    seconds: float


@dataclass(frozen=True)
class Budget:
    """How many evaluations a row has, each of one image in one pass.

    With several `passes` the value of a code is their mean, and because the largest of noisy values is too large, the
    `finalists` best codes are read again at the end, `final_passes` times each; the best of these counts. The
    evaluations for that are kept back from the search, and so are some for blind draws at the end, one code in twenty,
    at most a hundred: their mean tells what the space gives without any search, and one of them may be the best.
    """

    evaluations: int
    passes: int = 1
    finalists: int = 10
    final_passes: int = 30

    @property
    def codes(self) -> int:
        """How many codes may be tried.

        >>> Budget(1000).codes, Budget(1000, passes=3).codes
        (1000, 233)
        """
        return (self.evaluations - self.kept_back) // self.passes

    @property
    def blind(self) -> int:
        """How many of them are drawn blindly; of fewer than 20 codes none, and the mean is that of all."""
        return min(100, self.codes // 20)

    @property
    def kept_back(self) -> int:
        """How many evaluations are for reading the best again."""
        return self.finalists * self.final_passes if self.passes > 1 else 0

    def spend(self, evaluate: Evaluate, led: Party, blind: Party, rows: Groups) -> Found:
        """Return what a search finds, the last draws being blind; `rows` are the rows, each a group of its own."""
        ledger = _Ledger(len(rows.of), keep=self.finalists if self.passes > 1 else 1)
        seconds, turn, turning = 0.0, 0, self.codes - (0 if led is blind else self.blind)
        while ledger.count < self.codes:
            party, end = (led, turning) if ledger.count < turning else (blind, self.codes)
            began = time.process_time()
            asked = party.search.ask()
            seconds += time.process_time() - began
            codes = asked[:, : end - ledger.count]  # [R, k, d]
            values = evaluate(codes, party.groups, self.passes, turn).nan_to_num(nan=WORST)
            ledger.enter(codes[party.groups.of], values)
            began = time.process_time()
            if codes.shape[1] == asked.shape[1]:  # a search learns from whole generations
                party.search.tell(values)
            seconds += time.process_time() - began
            turn += 1
        return self._found(ledger, evaluate, rows, seconds)

    def _found(self, ledger: _Ledger, evaluate: Evaluate, rows: Groups, seconds: float) -> Found:
        values, best, used = ledger.values, ledger.best, ledger.count * self.passes
        if self.passes > 1:
            best = evaluate(ledger.codes, rows, self.final_passes, -1).nan_to_num(nan=WORST)  # [P, finalists]
            used += best.shape[1] * self.final_passes
        chosen, each = best.argmax(1), torch.arange(len(best))
        reached = best[each, chosen]
        tried = torch.arange(1, self.evaluations + 1) // self.passes  # whole codes after each evaluation
        return Found(
            codes=ledger.codes[each, chosen],
            values=torch.where(reached > WORST, reached, 0.0),
            curve=_curve(values, (tried - 1).clamp(0, ledger.count - 1)),
            blind=_mean(values[:, -self.blind :]),
            alive=_alive(values),
            evaluations=torch.full_like(each, used),
            seconds=seconds,
        )


class _Ledger:
    """What has been evaluated so far: all values in their order, and each row's best codes."""

    def __init__(self, rows: int, keep: int) -> None:
        self._keep = keep
        self._values = [torch.empty(rows, 0, dtype=torch.float64)]
        self.best = self._values[0]  # [P, keep], the best first; of equal ones the earlier is the better
        self.codes = torch.empty(0)  # [P, keep, d]

    @property
    def count(self) -> int:
        """How many codes each row has tried."""
        return sum(values.shape[1] for values in self._values)

    @property
    def values(self) -> Tensor:
        """The values of all codes [P, count]."""
        return torch.cat(self._values, 1)

    def enter(self, codes: Tensor, values: Tensor) -> None:
        """Note the values [P, k] of codes [P, k, d]."""
        before = self.codes if self.count else codes[:, :0]
        self._values.append(values)
        known = torch.cat([self.best, values], 1)
        order = known.argsort(dim=1, descending=True, stable=True)[:, : self._keep]
        self.best = known.gather(1, order)
        self.codes = torch.cat([before, codes], 1)[torch.arange(len(order))[:, None], order]


def _curve(values: Tensor, places: Tensor) -> Tensor:
    """Return the best so far [P, n] at places of values [P, m]; before the first finite one that one, without any 0."""
    best = values.cummax(1).values[:, places]
    known = best > WORST
    first = torch.where(known, best, torch.inf).amin(1, keepdim=True)
    return torch.where(known, best, torch.where(first.isfinite(), first, 0.0))


def _mean(values: Tensor) -> Tensor:
    """Return the mean of each row's finite values [P], 0 without any."""
    known = values > WORST
    return torch.where(known, values, 0.0).sum(1) / known.sum(1).clamp(min=1)


def _alive(values: Tensor) -> Tensor:
    """Return whether each row's finite values [P, m] differ [P]."""
    low, high = torch.where(values > WORST, values, torch.inf).amin(1), values.amax(1)
    return high - low > RISE * (1 + _curve(values, torch.zeros(1, dtype=torch.long))[:, 0].abs())
