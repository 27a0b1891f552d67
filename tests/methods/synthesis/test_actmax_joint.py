"""Joint statistics of shallow features, against regressions, chi-square and scikit-learn; and what they cost a portrait."""

from __future__ import annotations

import importlib

import numpy as np
import pytest
import torch
from scipy.stats import chi2, kstest
from sklearn.covariance import LedoitWolf

import networks
from ambench import features, registry
from ambench.core import Concepts, InputError, Model, Portraits, Randomness

module = importlib.import_module("ambench.methods.synthesis._co_activations")
CoActivations, pooled = module.CoActivations, module.pooled


def covariance(size: int) -> torch.Tensor:
    root = torch.randn(size, size, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return root @ root.T / size + 0.1 * torch.eye(size)


def draws(count: int, size: int) -> torch.Tensor:
    root = torch.linalg.cholesky(covariance(size))
    return torch.randn(count, size, generator=torch.Generator().manual_seed(2), dtype=torch.float64) @ root.T + 1


def test_distances_of_gaussian_draws_are_chi_square() -> None:
    known = CoActivations(torch.ones(7).double(), torch.linalg.inv(covariance(7)), torch.zeros(()))
    assert kstest(known.distance(draws(2000, 7)).numpy(), chi2(7).cdf).pvalue > 0.01


def test_the_fit_is_scikit_learns() -> None:
    seen = draws(80, 5)
    found = CoActivations.of(seen)
    learnt = seen[torch.arange(80) % 4 != 3].numpy()
    reference = LedoitWolf().fit(learnt)
    np.testing.assert_allclose(found.mean.numpy(), reference.location_, atol=1e-12)
    np.testing.assert_allclose(found.precision.numpy(), reference.precision_, rtol=1e-9)
    held_out = seen[torch.arange(80) % 4 == 3].numpy()
    assert float(found.usual) == pytest.approx(np.quantile(reference.mahalanobis(held_out), 0.99), rel=1e-9)


def test_conditional_scores_are_those_of_a_regression_on_all_others() -> None:
    """By the Schur complement: E[h_i | rest] and its variance from the covariance itself."""
    sigma, mean = covariance(6).numpy(), np.ones(6)
    known = CoActivations(torch.as_tensor(mean), torch.linalg.inv(covariance(6)), torch.zeros(()))
    seen = draws(5, 6)
    for i in range(6):
        rest = [j for j in range(6) if j != i]
        weights = np.linalg.solve(sigma[np.ix_(rest, rest)], sigma[rest, i])
        expected = mean[i] + (seen.numpy()[:, rest] - mean[rest]) @ weights
        deviation = np.sqrt(sigma[i, i] - sigma[i, rest] @ weights)
        np.testing.assert_allclose(
            known.conditional_scores(seen)[:, i].numpy(), (seen.numpy()[:, i] - expected) / deviation, atol=1e-9
        )
        assert float(known.conditional_deviations()[i]) == pytest.approx(deviation, rel=1e-9)


def test_a_feature_that_never_varies_is_off_as_soon_as_it_does() -> None:
    seen = torch.cat([draws(600, 3), torch.zeros(600, 1).double()], 1)
    found = CoActivations.of(seen)
    assert found.precision.isfinite().all()
    odd = found.mean.clone()
    odd[3] += 1
    assert float(found.distance(odd[None])) > 10 * float(found.usual)


def test_regions_are_adaptive_averages() -> None:
    grid = torch.rand(2, 3, 7, 5, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(pooled(grid, 2), torch.nn.functional.adaptive_avg_pool2d(grid, 2).flatten(1))
    assert pooled(grid, 9).shape == (2, 3 * 7 * 5)
    series = torch.rand(2, 3, 8)
    torch.testing.assert_close(pooled(series, 2), torch.nn.functional.adaptive_avg_pool1d(series, 2).flatten(1))


# ------------------------------------------------------------------------------------------------ portraits


def examples(model: Model, count: int = 40) -> Concepts:
    images = networks.images(model, count, seed=5)
    return Concepts(("a",), images, torch.arange(count)[:, None] % 3 == 0)


def make(spec: str, model: Model, units: list[int], count: int = 40) -> Portraits:
    method = registry.load("methods", f"actmax_joint:{spec}")
    return method.synthesise(model, torch.tensor(units), examples(model, count), Randomness((0,)))


def test_without_weight_it_is_actmax() -> None:
    """Without natural images, actmax too measures in logits."""
    model = networks.cnn()
    model.network.double()
    nothing = Concepts(("a",), torch.empty(0, 3, 16, 16), torch.empty(0, 1, dtype=torch.bool))
    plain = registry.load("methods", "actmax:steps=15").synthesise(
        model, torch.tensor([0, 2]), nothing, Randomness((0,))
    )
    joint = make("steps=15,weight=0,shallow=conv1", model, [0, 2])
    assert torch.equal(joint.images, plain.images)


@pytest.mark.parametrize("name", ["module", "transformer"])
def test_a_heavy_cost_keeps_portraits_nearer_to_natural_images(name: str) -> None:
    model = networks.every()[name]
    free = make("steps=40,weight=0,parts=1", model, [0, 2, 4])
    bound = make("steps=40,weight=300,parts=1", model, [0, 2, 4])
    far, near = (p.details["distance_per_feature"] for p in (free, bound))
    assert far.mean() > near.mean()
    assert bound.images.isfinite().all()


def test_inside_the_usual_range_the_penalty_costs_nothing() -> None:
    model = networks.cnn()
    cost = registry.load("methods", "actmax_joint:shallow=conv1,parts=1")
    scene_of = importlib.import_module("ambench.methods.synthesis._gradient").Scene
    concepts = examples(model)
    scene = scene_of(model, concepts, concepts.images, Randomness((0,)))
    price = cost._cost(scene)({"conv1": features.output(model, concepts.images, "conv1")})
    known = scene.known["co-activations"][1]
    seen = pooled(features.read(model, concepts.images, ["conv1"])["conv1"], 1).double()
    beyond = (known.distance(seen) - known.usual).clamp_min(0) / seen.shape[1]
    torch.testing.assert_close(price.double(), beyond, atol=1e-3, rtol=1e-3)
    assert (price == 0).any()


def test_the_variant_that_reduces_pushes_down_what_lies_three_deviations_above_what_others_let_expect() -> None:
    model = networks.cnn()
    method = registry.load("methods", "actmax_joint:shallow=conv1,parts=1,variant=reduce,weight=2")
    concepts = examples(model)
    scene = importlib.import_module("ambench.methods.synthesis._gradient").Scene(
        model, concepts, concepts.images, Randomness((0,))
    )
    cost = method._cost(scene)
    known = scene.known["co-activations"][1]
    usual = known.mean.float().view(1, -1, 1, 1)
    deviation = known.precision.diagonal().rsqrt().float()
    odd = usual.clone()
    odd[0, 2] += 4 * deviation[2]
    expected = 2 * odd[0, 2, 0, 0] / deviation[2] / usual.shape[1]
    assert cost({"conv1": usual}).tolist() == [0.0]
    torch.testing.assert_close(cost({"conv1": odd})[0], expected, rtol=1e-4, atol=0)


def test_with_few_images_regions_get_larger() -> None:
    model = networks.cnn()
    many, few = make("steps=2,parts=2,shallow=conv1", model, [0]), make("steps=2,parts=2,shallow=conv1", model, [0], 8)
    assert many.details["distance_per_feature"].shape == few.details["distance_per_feature"].shape == (1,)
    with pytest.warns(UserWarning, match="few for the statistics"):
        make("steps=2,parts=2,shallow=conv1", model, [0], 2)


def test_without_examples_it_is_refused() -> None:
    model = networks.cnn()
    with pytest.raises(InputError, match="no examples"):
        make("steps=2", model, [0], 0)


def test_the_shallow_layer_is_the_middle_stage_before_the_default_one() -> None:
    from ambench.models import resolve

    method = registry.load("methods", "actmax_joint")
    assert method.shallow_layer(resolve("cnn-untrained")).name == "layer2"
    assert method.shallow_layer(resolve("vit-untrained")).name.startswith("encoder.layers.encoder_layer_1")
