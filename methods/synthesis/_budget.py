"""Spends a budget of evaluations on a search: what was best after each of them, and what is best in the end."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

WORST = -1e300  # the value of a code that the network has no finite answer to
RISE = 1e-6  # a smaller difference, relative to 1 + |mean of the first generation|, is none


@dataclass(frozen=True, eq=False)
class Groups:
    """Which rows try the same codes: row p those of group `of[p]`; `keys` name the groups' chance."""

    of: Tensor
    keys: tuple[Hashable, ...]


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

    `codes` [P, d] and their `values` [P]; `curve` [P, evaluations] is the best so far after each evaluation; `start`
    [P] the mean of the first generation, drawn before anything was learnt; `alive` [P] whether values ever differed;
    `evaluations` [P] how many images a row has had evaluated; `seconds` those of the search without the network.
    """

    codes: Tensor
    values: Tensor
    curve: Tensor
    start: Tensor
    alive: Tensor
    evaluations: Tensor
    seconds: float


@dataclass(frozen=True)
class Budget:
    """How many evaluations a row has, each of one image in one pass.

    With several `passes` the value of a code is their mean, and because the largest of noisy values is too large, the
    `finalists` best codes are read again at the end, `final_passes` times each; the best of these counts. The
    evaluations for that are kept back from the search.
    """

    evaluations: int
    passes: int = 1
    finalists: int = 10
    final_passes: int = 30

    @property
    def codes(self) -> int:
        """How many codes the search may try.

        >>> Budget(1000).codes, Budget(1000, passes=3).codes
        (1000, 233)
        """
        return (self.evaluations - self.kept_back) // self.passes

    @property
    def kept_back(self) -> int:
        """How many evaluations the search may not use."""
        return self.finalists * self.final_passes if self.passes > 1 else 0

    def spend(self, search: Search, evaluate: Evaluate, groups: Groups, rows: Groups) -> Found:
        """Return what a search over groups of rows finds; `rows` are the same rows, each a group of its own."""
        ledger, seconds, turn = _Ledger(groups, self.finalists if self.passes > 1 else 1), 0.0, 0
        while ledger.count < self.codes:
            began = time.process_time()
            asked = search.ask()
            seconds += time.process_time() - began
            codes = asked[:, : self.codes - ledger.count]  # [R, k, d]
            values = evaluate(codes, groups, self.passes, turn).nan_to_num(nan=WORST)
            ledger.enter(codes, values)
            began = time.process_time()
            if codes.shape[1] == asked.shape[1]:  # a search learns from whole generations
                search.tell(values)
            seconds += time.process_time() - began
            turn += 1
        return self._found(ledger, evaluate, rows, seconds)

    def _found(self, ledger: _Ledger, evaluate: Evaluate, rows: Groups, seconds: float) -> Found:
        values, used = ledger.values, ledger.count * self.passes
        if self.passes > 1:
            values = evaluate(ledger.codes, rows, self.final_passes, -1).nan_to_num(nan=WORST)  # [P, finalists]
            used += values.shape[1] * self.final_passes
        best = values.argmax(1)
        each = torch.arange(len(values))
        reached = values[each, best]
        return Found(
            codes=ledger.codes[each, best],
            values=torch.where(reached > WORST, reached, 0.0),
            curve=ledger.curve((torch.arange(1, self.evaluations + 1) // self.passes - 1).clamp(0, ledger.count - 1)),
            start=ledger.start,
            alive=ledger.alive,
            evaluations=torch.full_like(each, used),
            seconds=seconds,
        )


class _Ledger:
    """What has been evaluated so far: each row's best codes, its curve, and how far its values spread."""

    def __init__(self, groups: Groups, keep: int) -> None:
        self._of = groups.of
        self._keep = keep
        self._curve: list[Tensor] = []
        self._lowest = torch.full((len(groups.of),), torch.inf, dtype=torch.float64)
        self.count = 0
        self.start = torch.zeros_like(self._lowest)
        self.values = torch.empty(len(groups.of), 0, dtype=torch.float64)  # [P, keep], the best first
        self.codes = torch.empty(0)  # [P, keep, d]

    @property
    def alive(self) -> Tensor:
        """Whether a row's finite values differ [P]."""
        return self.values[:, 0] - self._lowest > RISE * (1 + self.start.abs())

    def enter(self, codes: Tensor, values: Tensor) -> None:
        """Note the values [P, k] of codes [R, k, d]; of equal ones the earlier is the better."""
        codes, known = codes[self._of], values > WORST  # [P, k, d]
        if not self.count:
            self.start = torch.where(known, values, 0.0).sum(1) / known.sum(1).clamp(min=1)
            self.codes = codes[:, :0]
        self._lowest = torch.minimum(self._lowest, torch.where(known, values, torch.inf).amin(1))
        before = self.values[:, :1]
        self._curve.append(torch.cat([before, values], 1).cummax(1).values[:, before.shape[1] :])
        everything = torch.cat([self.values, values], 1)
        order = everything.argsort(dim=1, descending=True, stable=True)[:, : self._keep]
        self.values = everything.gather(1, order)
        self.codes = torch.cat([self.codes, codes], 1)[torch.arange(len(order))[:, None], order]
        self.count += values.shape[1]

    def curve(self, places: Tensor) -> Tensor:
        """Return the best so far [P, n] after some of the codes; before the first finite value, that value, else 0."""
        whole = torch.cat(self._curve, 1)[:, places]
        known = whole > WORST
        first = torch.where(known, whole, torch.inf).amin(1, keepdim=True)
        return torch.where(known, whole, torch.where(first.isfinite(), first, 0.0))
