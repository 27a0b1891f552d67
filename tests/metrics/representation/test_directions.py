"""Cosines and dimensions of class directions and features, against numpy, closed forms and leaving out by hand."""

from __future__ import annotations

import math
from importlib import import_module

import numpy as np
import pytest
import torch
from scipy.special import gamma
from sklearn.neighbors import NearestCentroid
from torch import Tensor

from ambench import registry

cosine_histogram = import_module("ambench.metrics.representation.cosine_histogram")
dimensionality = import_module("ambench.metrics.representation.dimensionality")
directions = import_module("ambench.metrics.representation._directions")


def judged(spec: str, features: Tensor, labels: Tensor):
    return registry.load("metrics", spec).judge(features.double(), labels)


def clouds(seed: int, n: int = 60, classes: int = 4, width: int = 6) -> tuple[Tensor, Tensor]:
    random = np.random.default_rng(seed)
    labels = random.integers(0, classes, n)
    labels[:classes] = np.arange(classes)
    return torch.tensor(random.normal(size=(classes, width))[labels] + random.normal(size=(n, width))), torch.tensor(
        labels
    )


def by_numpy(features: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Class directions [K, F]."""
    means = np.stack([features[labels == k].mean(0) for k in np.unique(labels)]) - features.mean(0)
    return means / np.linalg.norm(means, axis=1, keepdims=True)


def mean_cosine(features: np.ndarray, labels: np.ndarray) -> float:
    vectors = by_numpy(features, labels)
    table = vectors @ vectors.T
    return float(np.abs(table[~np.eye(len(table), dtype=bool)]).mean())


def mean_share(features: np.ndarray, labels: np.ndarray) -> float:
    vectors = by_numpy(features, labels)
    return float((1 / ((vectors @ vectors.T) ** 2).sum(1)).mean())


def participation(features: np.ndarray, labels: np.ndarray) -> float:
    values = np.linalg.eigvalsh(np.cov(features.T))
    return float(values.sum() ** 2 / (values**2).sum())


STATISTICS = {
    "cosine_histogram": mean_cosine,
    "dimensionality:of=classes": mean_share,
    "dimensionality": participation,
}
over_statistics = pytest.mark.parametrize("spec", STATISTICS)


class TestStatistics:
    @over_statistics
    def test_the_mean_equals_numpys(self, spec: str) -> None:
        for seed in range(20):
            features, labels = clouds(seed)
            expected = STATISTICS[spec](features.numpy(), labels.numpy())
            assert judged(spec, features, labels).values.mean().item() == pytest.approx(expected, abs=1e-12)

    @over_statistics
    def test_each_image_pulls_as_the_number_moves_without_it(self, spec: str) -> None:
        features, labels = clouds(3, n=25)
        labels[5] = 7  # a class of one image, which is gone without it
        found = judged(spec, features, labels).values.numpy()
        whole = STATISTICS[spec](features.numpy(), labels.numpy())
        kept = [np.arange(25) != i for i in range(25)]
        without = np.array([STATISTICS[spec](features.numpy()[rows], labels.numpy()[rows]) for rows in kept])
        np.testing.assert_allclose(found, whole + 24 * (without.mean() - without), atol=1e-10)

    def test_blocks_of_images_change_nothing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        features, labels = clouds(1)
        whole = judged("cosine_histogram", features, labels).values
        monkeypatch.setattr(directions, "BLOCK", 100)
        torch.testing.assert_close(judged("cosine_histogram", features, labels).values, whole, atol=1e-14, rtol=0)

    def test_class_directions_are_scikit_learns_centroids_less_the_mean(self) -> None:
        features, labels = clouds(2)
        centroids = NearestCentroid().fit(features.numpy(), labels.numpy()).centroids_ - features.numpy().mean(0)
        found = directions.Means.of(features, labels).directions().numpy()
        np.testing.assert_allclose(found, centroids / np.linalg.norm(centroids, axis=1, keepdims=True), atol=1e-12)

    def test_class_directions_are_those_of_a_pattern_probe(self) -> None:
        """A class against the rest differs from a class against all in its length alone."""
        features, labels = clouds(2)
        found = directions.Means.of(features, labels).directions()
        for k in range(4):
            shift = features[labels == k].mean(0) - features[labels != k].mean(0)
            torch.testing.assert_close(found[k], shift / shift.norm(), atol=1e-12, rtol=0)


class TestCosines:
    def test_orthogonal_directions_have_0_and_a_simplex_one_over_n_less_1(self) -> None:
        metric = registry.load("metrics", "cosine_histogram")
        assert metric.summary(torch.eye(5).double()).item() == 0
        for n in (3, 4, 8):
            corners = torch.eye(n).double().repeat(2, 1)
            assert judged("cosine_histogram", corners, torch.arange(2 * n) % n).values.mean().item() == pytest.approx(
                1 / (n - 1), abs=1e-12
            )

    def test_random_directions_have_their_closed_form(self) -> None:
        vectors = torch.randn(600, 96, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        found = registry.load("metrics", "cosine_histogram").summary(torch.nn.functional.normalize(vectors, dim=1))
        assert found.item() == pytest.approx(gamma(48) / (math.sqrt(math.pi) * gamma(48.5)), abs=5e-4)

    def test_the_share_counts_cosines_beyond_a_size(self) -> None:
        vectors = torch.tensor([[1.0, 0], [0.8, 0.6], [0, -1]]).double()  # cosines .8, 0, -.6
        for above, share in ((0.3, 2 / 3), (0.7, 1 / 3), (0.9, 0.0)):
            metric = registry.load("metrics", f"cosine_histogram:statistic=share,above={above}")
            assert metric.summary(vectors).item() == pytest.approx(share)

    def test_histogram_equals_numpys(self) -> None:
        vectors = torch.nn.functional.normalize(torch.randn(30, 5, generator=torch.Generator().manual_seed(0)), dim=1)
        table = (vectors @ vectors.T).numpy()[np.triu_indices(30, 1)]
        found = cosine_histogram.histogram(vectors)
        assert found.tolist() == np.histogram(table, 40, (-1, 1))[0].tolist()

    def test_classes_that_cannot_be_told_from_the_mean_are_left_out_and_none_is_undefined(self) -> None:
        assert not judged("cosine_histogram", torch.ones(12, 3), torch.arange(12) % 3).defined
        assert not judged("cosine_histogram", torch.eye(4), torch.zeros(4).long()).defined
        cross = torch.tensor([[1.0, 0], [-1, 0], [0, 0], [0, 0]])  # the third class lies at the mean of all
        assert judged("cosine_histogram", cross, torch.tensor([0, 1, 2, 2])).values.mean().item() == 1


class TestDimensions:
    @pytest.mark.parametrize(
        ("vectors", "share"),
        [
            (np.eye(4), 1.0),
            ([[1, 0], [-1, 0]], 1 / 2),
            ([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]], 3 / 4),
            ([[math.cos(0.4 * math.pi * k), math.sin(0.4 * math.pi * k)] for k in range(5)], 2 / 5),
        ],
        ids=["orthogonal", "antipodal", "tetrahedron", "pentagon"],
    )
    def test_known_figures_have_their_share(self, vectors: object, share: float) -> None:
        found = dimensionality.shares(torch.tensor(np.array(vectors), dtype=torch.float64))
        assert found.tolist() == pytest.approx([share] * len(found), abs=1e-12)

    def test_shares_add_up_to_no_more_than_the_rank_and_zeros_are_left_out(self) -> None:
        for seed in range(10):
            vectors = torch.randn(9, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
            vectors[3] = 0
            found = dimensionality.shares(vectors)
            assert found.isnan().nonzero().flatten().tolist() == [3]
            assert found.nansum() <= 4 + 1e-9
            assert dimensionality.mean_share(vectors).item() == pytest.approx(found.nansum().item() / 8)

    def test_dimensions_used_alike_are_counted_and_scale_does_not_matter(self) -> None:
        steps = torch.cat([torch.eye(5), -torch.eye(5)]).double()
        features = torch.cat([steps, torch.zeros(10, 3)], 1)
        labels = torch.arange(10) % 2
        for scale in (1e-3, 1.0, 1e6):
            assert judged("dimensionality", scale * features + 7, labels).values.mean().item() == pytest.approx(
                5, abs=1e-6
            )

    def test_features_that_are_all_the_same_have_none(self) -> None:
        for spec in ("dimensionality", "dimensionality:of=classes"):
            found = judged(spec, 3 * torch.ones(12, 3), torch.arange(12) % 3)
            assert found.flat
            assert found.values.tolist() == [0.0] * 12
