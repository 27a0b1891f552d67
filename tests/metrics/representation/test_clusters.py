"""Silhouette and Davies-Bouldin index against scikit-learn, and what collapsed features come to."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from sklearn.metrics import davies_bouldin_score, silhouette_samples
from torch import Tensor

from ambench import registry

Judge = Callable[[Tensor, Tensor], Tensor]


def judged(spec: str, features: Tensor, labels: Tensor):
    return registry.load("metrics", spec).judge(features.double(), labels)


def clouds(seed: int, n: int = 90, classes: int = 5, width: int = 7, apart: float = 1.0) -> tuple[Tensor, Tensor]:
    random = np.random.default_rng(seed)
    labels = random.integers(0, classes, n)
    labels[:classes] = np.arange(classes)
    centres = apart * random.normal(size=(classes, width))
    return torch.tensor(centres[labels] + random.normal(size=(n, width))), torch.tensor(labels)


class TestSilhouette:
    @pytest.mark.parametrize("distance", ["euclidean", "cosine"])
    def test_it_equals_scikit_learns(self, distance: str) -> None:
        for seed in range(20):
            features, labels = clouds(seed, apart=seed / 5)
            expected = silhouette_samples(features.numpy(), labels.numpy(), metric=distance)
            found = judged(f"silhouette:distance={distance}", features, labels)
            np.testing.assert_allclose(found.values.numpy(), expected, atol=1e-12)
            assert found.defined
            assert not found.flat

    def test_images_alone_in_their_class_have_0(self) -> None:
        features, labels = clouds(0)
        labels[7] = 9
        found = judged("silhouette", features, labels).values
        assert found[7] == 0
        np.testing.assert_allclose(found.numpy(), silhouette_samples(features.numpy(), labels.numpy()), atol=1e-12)

    def test_one_class_and_as_many_as_images_are_undefined(self) -> None:
        features, _ = clouds(0, n=12)
        assert not judged("silhouette", features, torch.zeros(12).long()).defined
        assert not judged("silhouette", features, torch.arange(12)).defined

    def test_features_that_are_all_the_same_are_no_answer_and_score_0(self) -> None:
        found = judged("silhouette", torch.ones(12, 3), torch.arange(12) % 3)
        assert found.flat
        assert found.values.abs().max() == 0

    def test_blocks_of_images_change_nothing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        features, labels = clouds(1)
        whole = judged("silhouette", features, labels).values
        module = registry.find("metrics", "silhouette").__module__
        monkeypatch.setattr(f"{module}.BLOCK", 200)
        torch.testing.assert_close(judged("silhouette", features, labels).values, whole, atol=1e-14, rtol=0)


class TestDaviesBouldin:
    def test_its_mean_equals_scikit_learns(self) -> None:
        for seed in range(20):
            features, labels = clouds(seed, apart=0.3 + seed / 5)
            expected = davies_bouldin_score(features.numpy(), labels.numpy())
            found = judged("davies_bouldin", features, labels)
            assert found.values.mean().item() == pytest.approx(expected, abs=1e-12)

    def test_each_image_pulls_as_the_index_moves_without_it(self) -> None:
        features, labels = clouds(3, n=25, classes=4)
        labels[5] = 7  # a class of one image, which is gone without it
        found = judged("davies_bouldin", features, labels).values.numpy()
        whole = davies_bouldin_score(features.numpy(), labels.numpy())
        kept = [np.arange(25) != i for i in range(25)]
        without = np.array([davies_bouldin_score(features.numpy()[rows], labels.numpy()[rows]) for rows in kept])
        np.testing.assert_allclose(found, whole + 24 * (without.mean() - without), atol=1e-10)

    def test_the_spread_of_the_pulls_is_the_indexs_own(self) -> None:
        """The interval over images is as wide as the index varies over fresh draws of images."""
        drawn = [clouds_of(seed) for seed in range(200)]
        indices = [davies_bouldin_score(features.numpy(), labels.numpy()) for features, labels in drawn]
        pulls = [judged("davies_bouldin", *one).values for one in drawn[:20]]
        errors = [pull.std().item() / len(pull) ** 0.5 for pull in pulls]
        assert np.mean(errors) == pytest.approx(np.std(indices), rel=0.2)

    def test_collapsed_features_have_no_index_though_scikit_learn_gives_the_best(self) -> None:
        features, labels = torch.ones(12, 3), torch.arange(12) % 3
        assert davies_bouldin_score(features.numpy(), labels.numpy()) == 0
        assert not judged("davies_bouldin", features, labels).defined

    def test_two_classes_that_cannot_be_told_apart_have_none_either(self) -> None:
        features, labels = clouds(0, classes=3)
        rows = (labels == 0).nonzero()[:, 0]
        twice, again = torch.cat([features, features[rows]]), torch.cat([labels, torch.full((len(rows),), 3)])
        assert np.isfinite(davies_bouldin_score(twice.numpy(), again.numpy()))
        assert not judged("davies_bouldin", twice, again).defined

    def test_one_class_has_none_and_points_for_classes_0(self) -> None:
        features, _ = clouds(0, n=12)
        assert not judged("davies_bouldin", features, torch.zeros(12).long()).defined
        corners = torch.eye(3).repeat(4, 1)
        assert judged("davies_bouldin", corners, torch.arange(12) % 3).values.tolist() == [0.0] * 12


def clouds_of(seed: int) -> tuple[Tensor, Tensor]:
    """Four clouds at the same places, of other images for another seed."""
    random = np.random.default_rng(seed + 1000)
    labels = np.arange(120) % 4
    centres = np.array([[0.0, 0, 0], [3, 0, 0], [0, 4, 0], [0, 0, 5]])
    return torch.tensor(centres[labels] + random.normal(size=(120, 3))), torch.tensor(labels)
