"""Pattern CAVs against numpy's covariance, the lift of portraits, and a direction that was planted."""

from __future__ import annotations

import importlib
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.metrics import balanced_accuracy_score
from torch import nn

import networks
from ambench import explanations, registry
from ambench.activations import Held
from ambench.core import Concepts, Directions, InputError, Layer, Model, Portraits, Randomness, Skipped

PROBES = "ambench.methods.probes"
pattern_cav = importlib.import_module(f"{PROBES}.pattern_cav")
Design = importlib.import_module(f"{PROBES}._design").Design
folds = importlib.import_module(f"{PROBES}._examples").folds


def given(*shape: int) -> Model:
    """A network whose layer returns the features that its images are."""
    network = nn.Sequential(nn.Identity(), nn.Flatten()).eval()
    return Model("given", "none", network, {}, {"0": Layer("0", network[0], lambda z: z)}, "0", shape)


def drawn(count: int = 60, width: int = 9) -> Concepts:
    """Features of unequal means and spreads as images of 2 x 2 cells; one concept moves some of them, one is rare."""
    random = torch.Generator().manual_seed(0)
    images = torch.randn(count, width, 2, 2, generator=random) * torch.logspace(-1, 1, width)[:, None, None] + 3
    present = torch.rand(count, 2, generator=random) < torch.tensor([0.5, 0.2])
    images[present[:, 0], :3] += 1
    return Concepts(("moving", "rare"), images, present, ids=tuple(f"example-{i}" for i in range(count)))


def fit(spec: str, concepts: Concepts) -> Directions:
    method = registry.load("methods", spec)
    return method.fit(given(*concepts.images.shape[1:]), concepts, Randomness((0,)))


def covariance_over_variance(features: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The formula of the paper, by numpy's own covariance."""
    both = np.cov(np.column_stack([features, labels]), rowvar=False)
    return both[:-1, -1] / both[-1, -1]


# ------------------------------------------------------------------------------------------------ the formula


@pytest.mark.parametrize("width", [9, 200])
def test_patterns_are_covariance_over_variance(width: int) -> None:
    concepts = drawn(width=width)
    features = concepts.images.double().mean((2, 3))
    design = Design.of(Held(features))
    found, _ = pattern_cav._patterns(design, concepts.present, torch.ones_like(concepts.present))
    for concept, labels in enumerate(concepts.present.T.double().numpy()):
        expected = covariance_over_variance(features.numpy(), labels)
        np.testing.assert_allclose(found[:, concept] * design.scale, expected, rtol=0, atol=1e-12)


def test_patterns_of_counts_are_covariance_over_variance_of_repeated_examples() -> None:
    concepts = drawn()
    features = concepts.images.double().mean((2, 3))
    counts = torch.randint(0, 4, (60, 2), generator=torch.Generator().manual_seed(1))
    design = Design.of(Held(features))
    found, _ = pattern_cav._patterns(design, concepts.present, counts)
    for concept, labels in enumerate(concepts.present.T.double().numpy()):
        rows = np.repeat(np.arange(60), counts[:, concept].numpy())
        expected = covariance_over_variance(features.numpy()[rows], labels[rows])
        np.testing.assert_allclose(found[:, concept] * design.scale, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("pooling", ["mean", "max", "none"])
def test_a_pattern_cav_is_the_normalised_difference_of_class_means(pooling: str) -> None:
    concepts = drawn()
    directions = fit(f"pattern_cav:pooling={pooling}", concepts)
    pool = {"mean": lambda z: z.mean((2, 3)), "max": lambda z: z.amax((2, 3)), "none": lambda z: z}[pooling]
    features = pool(concepts.images.double())
    for concept, shown in enumerate(concepts.present.T):
        high, low = features[shown].mean(0), features[~shown].mean(0)
        length = (high - low).norm()
        vector = directions.vectors[concept].double()
        torch.testing.assert_close(vector, (high - low) / length, rtol=0, atol=1e-6)
        halfway = -float(((high - low) * (high + low)).sum() / 2 / length)
        assert abs(float(directions.bias[concept]) - halfway) < 1e-6 * max(1, abs(halfway))


@pytest.mark.parametrize("pooling", ["mean", "max", "none"])
def test_a_pattern_cav_is_the_lift_of_its_positives_as_portraits(pooling: str) -> None:
    model = networks.cnn()
    images = networks.images(model, 40)
    present = (torch.rand(40, 1, generator=torch.Generator().manual_seed(1)) < 0.4).repeat(1, 2)
    present[:, 1] = ~present[:, 1]
    concepts = Concepts(("a", "b"), images + 0.1 * present[:, :1, None, None], present)
    directions = registry.load("methods", f"pattern_cav:pooling={pooling}").fit(model, concepts, Randomness((0,)))
    shown = torch.cat([concepts.positives(0), concepts.positives(1)])
    units = torch.tensor([3] * int(present[:, 0].sum()) + [1] * int(present[:, 1].sum()))
    portraits = Portraits(shown, units, torch.ones(40, dtype=torch.bool), torch.zeros(40, 1))
    lifted = explanations.directions(model, portraits, torch.tensor([3, 1]), concepts, pooling=pooling)  # type: ignore[arg-type]
    torch.testing.assert_close(directions.vectors, lifted.vectors, rtol=0, atol=1e-6)
    torch.testing.assert_close(directions.bias, lifted.bias, rtol=0, atol=1e-6)
    assert (directions.layer, directions.pooling) == (lifted.layer, lifted.pooling)


def test_accuracy_is_that_of_means_of_the_other_folds() -> None:
    concepts = drawn()
    features, number = concepts.images.double().mean((2, 3)).numpy(), folds(concepts).numpy()
    found = fit("pattern_cav", concepts).details["accuracy"]
    for concept, labels in enumerate(concepts.present.T.numpy()):
        said = np.zeros(60, dtype=bool)
        for fold in range(5):
            out = number[:, concept] == fold
            high, low = features[~out & labels].mean(0), features[~out & ~labels].mean(0)
            said[out] = (features[out] - (high + low) / 2) @ (high - low) > 0
        assert abs(float(found[concept]) - balanced_accuracy_score(labels, said)) < 1e-12


# ------------------------------------------------------------------------------------------------ what it is for


def test_a_pattern_recovers_the_planted_direction_from_which_a_classifier_tilts_away() -> None:
    """z = t s + u d + noise, with d oblique to s and u independent of t: seeing less of d tells t better."""
    random = torch.Generator().manual_seed(0)
    count, width = 600, 12
    planted = nn.functional.normalize(torch.randn(width, generator=random), dim=0)
    other = torch.randn(width, generator=random)
    other = nn.functional.normalize(other - (other @ planted) * planted, dim=0)
    distractor = 0.8 * planted + 0.6 * other
    shown = (torch.arange(count) % 2 == 0)[:, None]
    strength = torch.randn(count, 1, generator=random)
    features = shown * planted + strength * distractor + 0.1 * torch.randn(count, width, generator=random)
    concepts = Concepts(("planted",), features[:, :, None, None], shown)

    def recovered(spec: str) -> float:
        return float(fit(spec, concepts).vectors[0] @ planted)

    assert recovered("pattern_cav") > 0.95
    for solver in ("logistic", "svm", "ridge"):
        assert recovered(f"cav:solver={solver}") < 0.8
        assert float(fit(f"cav:solver={solver}", concepts).details["accuracy"]) > 0.95


def test_a_pattern_takes_in_whatever_else_differs_on_average() -> None:
    """What comes with the concept is in its pattern by as much as it moves the means."""
    random = torch.Generator().manual_seed(0)
    shown = torch.arange(400) % 2 == 0
    company = shown ^ (torch.rand(400, generator=random) < 0.1)
    features = torch.stack([shown.float(), company.float()], 1) + 0.1 * torch.randn(400, 2, generator=random)
    vector = fit("pattern_cav", Concepts(("a",), features[:, :, None, None], shown[:, None])).vectors[0]
    share = float(company[shown].float().mean() - company[~shown].float().mean())
    assert abs(float(vector[1] / vector[0]) - share) < 0.05


# ------------------------------------------------------------------------------------------------ edges


def test_order_of_examples_and_chunk_change_no_pattern() -> None:
    concepts = drawn()
    order = torch.randperm(60, generator=torch.Generator().manual_seed(3))
    plain, mixed = fit("pattern_cav", concepts), fit("pattern_cav:chunk=7", concepts.select(order))
    torch.testing.assert_close(plain.vectors, mixed.vectors, rtol=0, atol=1e-6)
    torch.testing.assert_close(plain.bias, mixed.bias, rtol=0, atol=1e-6)
    torch.testing.assert_close(plain.details["accuracy"], mixed.details["accuracy"])


def test_identical_sets_give_a_zero_pattern_and_a_coin() -> None:
    images = drawn(10).images.repeat_interleave(2, 0)  # each image once with and once without
    directions = fit("pattern_cav", Concepts(("a",), images, (torch.arange(20) % 2 == 0)[:, None]))
    assert not directions.vectors.any()
    assert not directions.bias.any()


def test_too_few_broken_and_chunkless_are_refused_with_a_name() -> None:
    concepts = drawn()
    rare = replace(concepts, present=(torch.arange(60) < torch.tensor([[30], [4]])).T)
    with pytest.raises(Skipped, match="'rare'"):
        fit("pattern_cav", rare)
    with pytest.raises(InputError, match="chunk"):
        fit("pattern_cav:chunk=0", concepts)
    concepts.images[7, 0, 0, 0] = torch.inf
    with pytest.raises(InputError, match="example-7"):
        fit("pattern_cav", concepts)
