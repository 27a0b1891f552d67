"""Random directions are uniform on the sphere and undecided on half of the examples."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

import networks
from ambench import explanations, registry
from ambench.core import Concepts, Directions, Layer, Model, Randomness


def wide(channels: int) -> Model:
    network = networks.seeded(lambda: nn.Sequential(nn.Conv2d(3, channels, 4, stride=4), nn.Flatten()))
    layer = Layer("0", network[0], lambda grid: grid)
    return Model("wide", "none", network, {}, {"0": layer}, "0", (3, 16, 16))


def fit(model: Model, pooling: str = "mean", count: int = 9, concepts: int = 4, seed: int = 0) -> Directions:
    images = networks.images(model, count)
    present = torch.ones(count, concepts, dtype=torch.bool)
    examples = Concepts(tuple(f"concept-{k}" for k in range(concepts)), images, present)
    return registry.load("methods", f"random_direction:pooling={pooling}").fit(model, examples, Randomness((seed,)))


@pytest.mark.parametrize("channels", [2, 16, 96])
def test_mean_cosine_of_pairs_is_that_of_the_uniform_sphere(channels: int) -> None:
    vectors = fit(wide(channels), concepts=400).vectors.double()
    cosines = (vectors @ vectors.T).abs()[torch.ones(400, 400).triu(1).bool()]
    expected = math.gamma(channels / 2) / (math.sqrt(math.pi) * math.gamma((channels + 1) / 2))
    apart = cosines.view(-1)[: 400 * 199].view(199, 400).mean(1)  # the pairs are not independent: a generous bound
    assert abs(float(cosines.mean()) - expected) < 5 * float(apart.std()) / math.sqrt(199) + 0.02 * expected


@pytest.mark.parametrize("pooling", ["mean", "max", "none"])
@pytest.mark.parametrize("name", ["module", "48 x 80", "transformer", "1 x 1 grid"])
def test_half_of_the_examples_lie_on_either_side(name: str, pooling: str) -> None:
    model = networks.every()[name]
    directions = fit(model, pooling)
    torch.testing.assert_close(directions.vectors.flatten(1).norm(dim=1), torch.ones(4))
    targets = torch.arange(4).expand(9, -1)
    scores = explanations.localise(model, directions, networks.images(model, 9), targets).scores
    torch.testing.assert_close(scores.median(0).values, torch.zeros(4), atol=1e-5, rtol=0)
    assert ((scores > 1e-6).sum(0) <= 4).all()
    assert ((scores < -1e-6).sum(0) <= 4).all()


def test_another_seed_draws_another_direction() -> None:
    model = wide(16)
    assert (fit(model).vectors * fit(model, seed=1).vectors).sum(1).abs().max() < 0.95
