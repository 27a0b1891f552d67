"""Tensor trains against sums over everything, and what they find against everything there is."""

from __future__ import annotations

import importlib
import itertools

import numpy as np
import pytest
import torch
from scipy.stats import chisquare
from torch import Tensor

train = importlib.import_module("ambench.methods.synthesis._tensor_train")
budget = importlib.import_module("ambench.methods.synthesis._budget")


def cores(places: int = 3, rank: int = 3, points: int = 3, signed: bool = False, rows: int = 2) -> Tensor:
    drawn = torch.rand(rows, places, rank, points, rank, generator=torch.Generator().manual_seed(1)).double()
    return drawn - 0.4 if signed else drawn


def every(places: int, points: int) -> Tensor:
    return torch.tensor(list(itertools.product(range(points), repeat=places)))


def streams(count: int, seed: int = 0) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(100 * seed + row) for row in range(count)]


def spent(chain: object, dimensions: int, values: object, evaluations: int, seed: int = 0, rows: int = 1) -> object:
    """What a search for the largest of some values of codes finds."""
    each = budget.Groups(torch.arange(rows), tuple(range(rows)))
    search = train.TensorTrains(chain, dimensions, streams(rows, seed))
    party = budget.Party(search, each)
    return budget.Budget(evaluations).spend(lambda codes, *_: values(codes), party, party, each)


def numbers(codes: Tensor, points: int) -> Tensor:
    return ((codes / 4 + 1) / 2 * (points - 1)).round().long()


# ------------------------------------------------------------------------------------------------ the density


def test_likelihoods_of_a_positive_train_are_its_products_over_their_sum():
    whole = cores()
    found = train.log_likelihood(whole, every(3, 3).expand(2, -1, -1)).exp()
    for row in range(2):
        first, second, third = whole[row].numpy()
        table = np.einsum("ia,ajb,bk->ijk", first[0], second, third[:, :, 0])
        np.testing.assert_allclose(found[row].numpy(), (table / table.sum()).ravel(), atol=1e-12)


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize(("places", "points"), [(1, 4), (3, 3), (5, 2)])
def test_likelihoods_of_everything_add_up_to_one(places, points, signed):
    found = train.log_likelihood(cores(places, 3, points, signed), every(places, points).expand(2, -1, -1))
    assert found.exp().sum(1).tolist() == pytest.approx([1, 1], abs=1e-6)


def test_a_signed_train_is_read_place_by_place_in_absolute_values():
    whole = cores(signed=True)
    found = train.log_likelihood(whole, every(3, 3).expand(2, -1, -1)).exp()
    first, second, third = whole[1].numpy()
    ahead = [second.sum(1) @ third.sum(1)[:, 0], third.sum(1)[:, 0]]
    for place, (i, j, k) in enumerate(every(3, 3).tolist()):
        shares = [
            np.abs(np.einsum("na,a->n", first[0], ahead[0])),
            np.abs(np.einsum("a,anb,b->n", first[0, i], second, ahead[1])),
            np.abs(np.einsum("a,ab,bn->n", first[0, i], second[:, j], third[:, :, 0])),
        ]
        expected = np.prod([share[at] / share.sum() for share, at in zip(shares, (i, j, k), strict=True)])
        assert found[1, place].item() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("signed", [False, True])
def test_draws_follow_the_likelihoods(signed):
    whole, count = cores(signed=signed), 20_000
    draws = torch.rand(2, count, 3, generator=torch.Generator().manual_seed(3)).double()
    chosen = train.sample(whole, draws)
    expected = train.log_likelihood(whole, every(3, 3).expand(2, -1, -1)).exp()
    for row in range(2):
        places = (chosen[row] * torch.tensor([9, 3, 1])).sum(1)
        counts = torch.bincount(places, minlength=27).numpy()
        assert chisquare(counts, (expected[row] / expected[row].sum() * count).numpy()).pvalue > 0.01


def test_rescaling_the_cores_changes_no_likelihood():
    whole, asked = cores(), every(3, 3).expand(2, -1, -1)
    torch.testing.assert_close(train.log_likelihood(1e9 * whole, asked), train.log_likelihood(whole, asked))


def test_long_trains_neither_vanish_nor_overflow():
    whole = cores(places=400, rank=5, points=64, rows=1)
    chosen = train.sample(whole, torch.rand(1, 3, 400, generator=torch.Generator().manual_seed(0)).double())
    found = train.log_likelihood(whole, chosen)
    assert found.isfinite().all()
    assert found.mean().item() == pytest.approx(-400 * np.log(64), rel=0.02)  # nearly uniform at first


# ------------------------------------------------------------------------------------------------ the search


@pytest.mark.parametrize("seed", range(3))
def test_the_best_of_everything_is_found_on_a_small_grid(seed):
    """Any table will do where there are few points: every one of them is soon drawn."""
    table = torch.rand(4, 4, 4, generator=torch.Generator().manual_seed(seed + 50)).double()
    chain = train.Chain(population=20, elite=3, rank=3, points=4, rate=0.02)
    found = spent(chain, 3, lambda codes: table[tuple(numbers(codes, 4).unbind(2))], 1500, seed)
    assert found.values.item() == table.max().item()
    assert tuple(numbers(found.codes[0], 4).tolist()) == np.unravel_index(int(table.argmax()), table.shape)


def separable(codes: Tensor) -> Tensor:
    """An integer for each code: how close each number is to a place of its own."""
    wanted = torch.tensor([0, 3, 1, 4, 2, 4])
    return -(numbers(codes, 5) - wanted).abs().sum(2).double()


@pytest.mark.parametrize("seed", range(3))
def test_the_best_of_a_separable_function_is_found_where_draws_would_not(seed):
    """2000 of 15625 points: blind draws meet the best with a chance of one in eight."""
    found = spent(train.Chain(population=50, elite=5, points=5), 6, separable, 2000, seed)
    assert found.values.item() == 0
    curve = found.curve[0]
    assert (curve.diff() >= 0).all()
    assert torch.equal(spent(train.Chain(population=50, elite=5, points=5), 6, separable, 2000, seed).curve[0], curve)


def test_what_was_best_becomes_more_likely():
    search = train.TensorTrains(train.Chain(population=8, elite=1, points=3), 3, streams(1))
    search.ask()
    chosen = search._choices
    before = train.log_likelihood(search._cores.detach(), chosen)
    search.tell(torch.arange(8.0)[None])
    after = train.log_likelihood(search._cores.detach(), chosen)
    assert after[0, 7] > before[0, 7]


def test_searches_side_by_side_are_those_alone():
    chain = train.Chain(population=10, elite=2, points=5)
    both = train.TensorTrains(chain, 4, streams(2))
    alone = train.TensorTrains(chain, 4, streams(2)[1:])
    for _ in range(5):
        codes, single = both.ask(), alone.ask()
        assert torch.equal(codes[1:], single)
        both.tell(codes.sum(2))
        alone.tell(single.sum(2))


def test_binary_choices_stand_for_the_points_of_the_grid():
    search = train.TensorTrains(train.Chain(population=400, points=8, binary=True), 2, streams(1))
    codes = search.ask()
    assert search._choices.shape == (1, 400, 6)
    assert sorted(set(codes.flatten().tolist())) == pytest.approx(np.linspace(-4, 4, 8).tolist())
    digits = search._choices.view(1, 400, 2, 3)
    expected = digits[..., 0] * 4 + digits[..., 1] * 2 + digits[..., 2]
    assert torch.equal(numbers(codes, 8), expected)
    found = spent(train.Chain(population=50, elite=5, points=8, binary=True), 4, lambda codes: codes.sum(2), 1500)
    assert found.codes.tolist() == [[4.0] * 4]
