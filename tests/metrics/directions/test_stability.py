"""Stability is 1 for the same sample, 0 for noise on disjoint halves, and counts what it says it counts."""

from __future__ import annotations

import importlib
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from sklearn.metrics.pairwise import cosine_similarity
from torch import Tensor, nn

from ambench import registry
from ambench.core import Case, Concepts, Directions, Layer, Model, Randomness, Trial, Truth

agreement = importlib.import_module("ambench.metrics.directions.stability").agreement


def model(width: int) -> Model:
    """Inputs [width, 1, 1] are their own features."""
    network = nn.Identity()
    return Model("plain", "none", network, {}, {"x": Layer("x", network, lambda z: z)}, "x", (width, 1, 1))


def examples(features: Tensor, present: Tensor) -> Concepts:
    ids = tuple(f"example-{i}" for i in range(len(features)))
    return Concepts(tuple("abc"[: present.shape[1]]), features[:, :, None, None], present, ids=ids)


def trial(concepts: Concepts, spec: str = "pattern_cav", seed: int = 0) -> Trial[Directions]:
    plain, randomness = model(concepts.images.shape[1]), Randomness((seed,))
    probe = registry.load("methods", spec)
    fitted = probe.fit(plain, concepts, randomness)
    case = Case(concepts.images, torch.zeros(len(concepts), 1).long(), Truth(concepts.present), concepts.ids)

    def refit(counts: Tensor) -> Sequence[Directions]:
        return probe.refit(plain, concepts, counts, randomness)

    return Trial(plain, case, fitted, concepts, randomness, torch.arange(1), refit=refit)


def noise(count: int, width: int, seed: int) -> Concepts:
    random = torch.Generator().manual_seed(seed)
    return examples(torch.randn(count, width, generator=random), torch.arange(count)[:, None] % 2 == 0)


def test_the_value_is_the_mean_cosine_with_the_other_refits() -> None:
    vectors = torch.randn(6, 2, 9, generator=torch.Generator().manual_seed(0))
    found = agreement([Directions(v, torch.zeros(2), "x") for v in vectors])
    for concept in range(2):
        table = cosine_similarity(vectors[:, concept].numpy())
        expected = (table.sum(1) - 1) / 5
        np.testing.assert_allclose(found[:, concept], expected, atol=1e-6)


def test_equal_refits_agree_wholly_and_a_dead_one_is_flat() -> None:
    same = [Directions(torch.ones(1, 4) / 2, torch.zeros(1), "x")] * 3
    assert agreement(same).flatten().tolist() == pytest.approx([1, 1, 1])
    concepts = examples(torch.zeros(40, 5), torch.arange(40)[:, None] % 2 == 0)
    values = registry.load("metrics", "stability:refits=4").score(trial(concepts))
    assert values.flat.all()
    assert not values.values.any()


@pytest.mark.parametrize("width", [16, 96])
def test_disjoint_halves_of_noise_agree_by_chance_alone(width: int) -> None:
    metric = registry.load("metrics", "stability:by=split,refits=2")
    found = [metric.score(trial(noise(100, width, seed))).values.mean().item() for seed in range(100)]
    assert abs(np.mean(found)) < 3 / width**0.5 / 10  # splits of one draw are not independent, draws are


def test_bootstrapped_noise_agrees_all_the_same() -> None:
    found = [
        registry.load("metrics", "stability").score(trial(noise(100, 64, seed))).values.mean() for seed in range(5)
    ]
    assert 0.35 < float(np.mean(found)) < 0.6  # .47 was measured elsewhere: why it is no test


def test_the_variance_of_a_mean_difference_falls_as_one_over_n() -> None:
    """The angle's square is the variance across over the length's square, and that falls as 1 / n."""
    sizes = [200, 400, 800, 1600]
    spreads = []
    for size in sizes:
        concepts = noise(size, 20, size)
        concepts.images[::2, 0] += 2.0
        values = registry.load("metrics", "stability:refits=40").score(trial(concepts)).values
        spreads.append(1 - values.mean().item())
    slope = np.polyfit(np.log(sizes), np.log(spreads), 1)[0]
    assert abs(slope + 1) < 0.25


def test_samples_are_as_large_as_the_examples_and_halves_are_disjoint() -> None:
    given = trial(noise(41, 3, 0))
    bootstrap = registry.load("metrics", "stability").samples(given)
    assert bootstrap.shape == (20, 41)
    assert (bootstrap.sum(1) == 41).all()
    halves = registry.load("metrics", "stability:by=split").samples(given)
    assert halves.shape == (20, 41)
    assert (halves[::2] + halves[1::2] == 1).all()


def test_the_seed_decides_and_nothing_else() -> None:
    metric, concepts = registry.load("metrics", "stability:refits=3"), noise(60, 8, 0)
    first = metric.score(trial(concepts)).values
    torch.rand(5)
    assert torch.equal(metric.score(trial(concepts)).values, first)
    assert not torch.equal(metric.score(trial(concepts, seed=1)).values, first)


def test_what_cannot_be_fitted_anew_has_no_value() -> None:
    given = trial(noise(40, 4, 0))
    assert registry.load("metrics", "stability").score(Trial(**{**vars(given), "refit": None})) is None
