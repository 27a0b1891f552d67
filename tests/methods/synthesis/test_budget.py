"""A budget is never overspent, and the curve says what was best when."""

from __future__ import annotations

import importlib
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

budget = importlib.import_module("ambench.methods.synthesis._budget")


class Numbers:
    """A search that asks for the numbers 0, 1, 2, … in generations of one size and remembers what it was told."""

    def __init__(self, population: int, groups: int = 1) -> None:
        self.population, self.groups, self.next, self.told = population, groups, 0, []

    def ask(self) -> Tensor:
        codes = torch.arange(self.next, self.next + self.population, dtype=torch.float64)
        self.next += self.population
        return codes[None, :, None].expand(self.groups, -1, -1)

    def tell(self, values: Tensor) -> None:
        self.told.append(values)


class Counted:
    """Values of codes by a table, and how many were asked for."""

    def __init__(self, value: Callable[[Tensor], Tensor]) -> None:
        self.value, self.evaluations = value, 0

    def __call__(self, codes: Tensor, groups: object, passes: int, turn: int) -> Tensor:
        self.evaluations += codes.shape[1] * passes
        return self.value(codes[groups.of])


def alone(rows: int = 1) -> object:
    return budget.Groups(torch.arange(rows), tuple(range(rows)))


def spent(search: Numbers, asked: Counted, evaluations: int, passes: int = 1, rows: int = 1) -> object:
    """What is found by a search that is its own blind draws."""
    party = budget.Party(search, alone(rows))
    return budget.Budget(evaluations, passes).spend(asked, party, party, alone(rows))


def noise(count: int, seed: int = 0) -> Tensor:
    return torch.randn(count, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize(("evaluations", "population"), [(1, 7), (7, 7), (8, 7), (20, 7), (6, 7), (30, 1)])
def test_the_budget_is_spent_to_the_last_and_no_further(evaluations, population):
    asked, search = Counted(lambda codes: -(codes[..., 0] - 3).abs()), Numbers(population)
    found = spent(search, asked, evaluations)
    assert asked.evaluations == evaluations == found.evaluations.item()
    assert found.curve.shape == (1, evaluations)
    assert found.codes.item() == min(3, evaluations - 1)
    assert [told.shape[1] for told in search.told] == [population] * (evaluations // population)


def test_the_curve_is_the_running_maximum():
    table = noise(500)
    found = spent(Numbers(13), Counted(lambda codes: table[codes[..., 0].long()]), 500)
    assert found.curve[0].tolist() == np.maximum.accumulate(table.numpy()).tolist()
    assert found.values.item() == table.max()
    assert found.codes.item() == table.argmax()
    assert found.blind.item() == pytest.approx(table[-25:].mean().item())


def test_a_constant_gives_the_first_draw_and_is_dead():
    found = spent(Numbers(7), Counted(lambda codes: 0 * codes[..., 0] + 2.5), 50)
    assert found.codes.item() == 0
    assert not found.alive.item()
    assert found.curve.unique().tolist() == [2.5]


def test_what_is_no_number_is_nobodys_best_and_stops_no_other_row():
    def value(codes: Tensor) -> Tensor:
        numbers = codes[..., 0].clone()
        numbers[0, numbers[0] % 2 == 0] = torch.nan  # row 0 answers every other time, row 1 never, row 2 always
        numbers[1] = torch.nan
        return numbers

    search = Numbers(4, groups=3)
    found = spent(search, Counted(value), 10, rows=3)
    assert found.codes[:, 0].tolist() == [9, 0, 9]
    assert found.alive.tolist() == [True, False, True]
    assert found.curve[0].tolist() == [1, 1, 1, 3, 3, 5, 5, 7, 7, 9]
    assert found.curve[1].tolist() == [0] * 10
    assert all(told.isfinite().all() for told in search.told)


@pytest.mark.parametrize(("evaluations", "blind"), [(19, 0), (20, 1), (40, 2), (1999, 99), (5000, 100)])
def test_the_last_twentieth_is_blind_and_its_mean_is_kept(evaluations, blind):
    led, dark = Numbers(7), Numbers(7)
    dark.next = 10_000
    parties = [budget.Party(search, alone()) for search in (led, dark)]
    asked = Counted(lambda codes: codes[..., 0])
    found = budget.Budget(evaluations).spend(asked, *parties, alone())
    assert asked.evaluations == evaluations
    if blind:
        assert found.blind.item() == pytest.approx(10_000 + (blind - 1) / 2)
        assert found.codes.item() == 10_000 + blind - 1  # a blind draw may be the best
        assert found.curve[0, -blind - 1] == evaluations - blind - 1
    else:
        assert found.blind.item() == pytest.approx((evaluations - 1) / 2)  # of all there were


def test_rows_of_one_group_share_codes_and_not_values():
    shared = budget.Groups(torch.tensor([0, 0]), ("both",))
    signs = torch.tensor([1.0, -1.0], dtype=torch.float64)[:, None]
    asked = Counted(lambda codes: signs * codes[..., 0])
    party = budget.Party(Numbers(4), shared)
    found = budget.Budget(10).spend(asked, party, party, alone(2))
    assert asked.evaluations == 10
    assert found.codes[:, 0].tolist() == [9, 0]


class TestNoise:
    def test_passes_count_and_some_are_kept_for_the_end(self):
        asked = Counted(lambda codes: -(codes[..., 0] - 3).abs())
        found = spent(Numbers(7), asked, 400, passes=3)
        assert asked.evaluations == found.evaluations.item() == 33 * 3 + 300
        assert found.curve[0, :9].tolist() == [-3, -3, -3, -3, -3, -2, -2, -2, -1]  # known after whole passes
        assert found.curve[0, 12:].unique().tolist() == [0]

    def test_fewer_codes_than_finalists_are_all_read_again(self):
        asked = Counted(lambda codes: codes[..., 0])
        found = spent(Numbers(3), asked, 310, passes=2)
        assert asked.evaluations == 5 * 2 + 5 * 30
        assert found.codes.item() == 4

    def test_the_best_is_chosen_by_the_second_look(self):
        """What looked best only by luck is passed over, and the value given is no maximum of noisy reads."""
        luck = noise(2000)

        def value(codes: Tensor) -> Tensor:
            return value.noise * luck[codes[..., 0].long()] + 0.1 * (codes[..., 0] == 40)

        class Careful(Counted):
            def __call__(self, codes, groups, passes, turn):
                value.noise = 0.0 if turn == -1 else 0.04  # the noise of 30 passes is all but gone
                return super().__call__(codes, groups, passes, turn)

        found = spent(Numbers(50), Careful(value), 1800, passes=3)
        assert found.codes.item() == 40
        assert found.values.item() == pytest.approx(0.1)
        assert found.curve[0, -1] > 0.1
