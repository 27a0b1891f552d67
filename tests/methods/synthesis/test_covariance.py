"""The evolution strategy on functions whose optimum is known, and against its library run by hand."""

from __future__ import annotations

import importlib

import numpy as np
import pytest
import torch
from cmaes import CMA, SepCMA

covariance = importlib.import_module("ambench.methods.synthesis._covariance")
budget = importlib.import_module("ambench.methods.synthesis._budget")


def streams(count: int, seed: int = 0) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(100 * seed + row) for row in range(count)]


def spent(dimensions: int, values: object, evaluations: int, seed: int = 0) -> object:
    alone = budget.Groups(torch.zeros(1, dtype=torch.long), ("row",))
    search = covariance.Evolutions(covariance.usual_population(dimensions), dimensions, streams(1, seed))
    party = budget.Party(search, alone)
    return budget.Budget(evaluations).spend(lambda codes, *_: values(codes), party, party, alone)


@pytest.mark.parametrize("seed", range(5))
def test_a_sphere_of_ten_dimensions_is_solved_within_3000_evaluations(seed):
    centre = 8 * torch.rand(10, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) - 4
    found = spent(10, lambda codes: -(codes - centre).square().sum(2), 3000, seed)
    assert found.values.item() > -1e-8
    assert (found.codes[0] - centre).abs().max() < 1e-4


@pytest.mark.parametrize("seed", range(3))
def test_an_optimum_beyond_the_range_is_approached_on_its_edge(seed):
    """The corner gives -40, the middle -360."""
    found = spent(10, lambda codes: -(codes - 6).square().sum(2), 2000, seed)
    assert found.codes.abs().max() <= 4
    assert -56 < found.values.item() <= -40


@pytest.mark.parametrize(("dimensions", "kind"), [(100, CMA), (101, SepCMA)])
def test_the_covariance_is_whole_up_to_100_numbers_and_diagonal_above(dimensions, kind):
    population = covariance.usual_population(dimensions)
    search = covariance.Evolutions(population, dimensions, streams(1))
    seed = int(torch.randint(2**32, (), generator=streams(1)[0]))
    edges = np.array([[-4.0, 4.0]] * dimensions)
    by_hand = kind(np.zeros(dimensions), 2.4, edges, n_max_resampling=0, seed=seed, population_size=population)
    for _ in range(4):
        codes = search.ask()
        expected = np.array([by_hand.ask() for _ in range(population)])
        assert codes[0].tolist() == expected.tolist()
        assert codes.abs().max() <= 4
        search.tell(codes.sum(2))
        by_hand.tell([(code, -code.sum()) for code in expected])


def test_rows_do_not_know_of_one_another():
    both, alone = covariance.Evolutions(6, 3, streams(2)), covariance.Evolutions(6, 3, streams(2)[1:])
    for _ in range(5):
        codes, single = both.ask(), alone.ask()
        assert torch.equal(codes[1:], single)
        both.tell(codes.sum(2))
        alone.tell(single.sum(2))


def test_a_search_that_has_converged_starts_again_elsewhere():
    search = covariance.Evolutions(6, 2, streams(1))
    spreads = []
    for _ in range(400):
        codes = search.ask()
        spreads.append(codes[0].std(0).amax().item())
        search.tell(-codes.square().sum(2))
    narrow = next(place for place, spread in enumerate(spreads) if spread < 1e-6)
    assert max(spreads[narrow:]) > 0.5


def test_numpys_own_chance_is_left_alone():
    before = np.random.get_state()[1].tolist()
    spent(5, lambda codes: codes.sum(2), 100)
    assert np.random.get_state()[1].tolist() == before
