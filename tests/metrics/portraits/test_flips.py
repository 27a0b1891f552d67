"""How often and how soon a small change flips the answer, from what the attack kept."""

from __future__ import annotations

import pytest
import torch

import networks
from ambench import registry
from ambench.core import Case, Concepts, InputError, Portraits, Randomness, Trial, Truth, Values


def trial() -> Trial[Portraits]:
    model = networks.cnn()
    images = networks.images(model, 24, seed=5)
    concepts = Concepts(("a", "b"), images, torch.arange(24)[:, None] % torch.tensor([3, 2]) == 0)
    attack = registry.load("methods", "adversarial:radius=32,halvings=2,restarts=3")
    made = attack.synthesise(model, torch.tensor([0, 2]), concepts, Randomness((0,)))
    targets = torch.tensor([0, 0, 0, 1, 1, 1])[:, None]
    case = Case(made.images, targets, Truth(torch.ones(6, 1).bool()), tuple(f"p/{i}" for i in range(6)))
    return Trial(model, case, made, concepts, Randomness((0,)), torch.tensor([0, 2]))


def said(spec: str, asked: Trial[Portraits]) -> Values:
    values = registry.load("metrics", spec).score(asked)
    assert values is not None
    return values


def test_the_rate_is_the_share_of_photographs_that_the_model_answers_with_the_unit() -> None:
    asked = trial()
    answers = asked.model.network(asked.case.images).argmax(1)
    flipped = (answers == asked.explanation.units).double()
    assert torch.equal(said("flip_rate", asked).values[:, 0], flipped)
    rounded = asked.model.network((asked.case.images * 255).round() / 255).argmax(1) == asked.explanation.units
    assert torch.equal(said("flip_rate:rounded=true", asked).values[:, 0], rounded.double())


def test_larger_radii_flip_what_smaller_ones_did_at_the_smallest_that_is_named() -> None:
    asked = trial()
    rates = [said(f"flip_rate:radius={radius}", asked).values[:, 0] for radius in (8, 16, 32)]
    smallest = said("flipping_radius", asked)
    for row in range(6):
        flips = [radius for radius, rate in zip((8, 16, 32), rates, strict=True) if rate[row] == 1]
        assert float(smallest.values[row, 0]) == min(flips, default=64)
        assert bool(smallest.flat[row, 0]) == (not flips)


def test_a_radius_that_was_not_tried_is_refused() -> None:
    with pytest.raises(InputError, match="8, 16, 32 were"):
        said("flip_rate:radius=9", trial())


def test_of_other_portraits_there_is_nothing_to_say() -> None:
    asked = trial()
    plain = Portraits(asked.case.images, asked.explanation.units, asked.explanation.alive, asked.explanation.history)
    other = Trial(asked.model, asked.case, plain, asked.concepts, asked.randomness, asked.units)
    assert registry.load("metrics", "flip_rate").score(other) is None
    assert registry.load("metrics", "flipping_radius").score(other) is None
