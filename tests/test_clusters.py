"""Values gathered by image: pooled means, shares and influence against their definitions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from ambench.clusters import Clusters, common, difference, pool
from ambench.resampling import random_state, resampled_means

NAMES = [f"{i:02d}" for i in range(30)]


def drawn(seed: int, concepts: int = 3) -> Clusters:
    """30 images, two of three concepts each."""
    random = np.random.default_rng(seed)
    asked = np.stack([random.permutation(concepts)[:2] for _ in NAMES])
    values = random.normal(size=asked.shape)
    return pool(values.ravel(), np.ones(60, bool), asked.ravel(), np.repeat(NAMES, 2).tolist(), concepts)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10_000))
def test_shares_and_influence_average_to_the_pooled_mean(seed: int) -> None:
    clusters = drawn(seed)
    assert clusters.pooled() == pytest.approx(clusters.shares().mean(), abs=1e-12)
    assert clusters.pooled() == pytest.approx(clusters.influence().mean(), abs=1e-12)


def test_influence_has_the_spread_of_the_resampled_pooled_mean() -> None:
    clusters = drawn(0)
    whole = resampled_means(clusters.sums, clusters.counts, (0,)).mean(1)
    nearly = resampled_means(clusters.influence()[:, None], np.ones((30, 1)), (0,))[:, 0]
    assert np.std(nearly) == pytest.approx(np.std(whole), rel=0.1)
    assert np.corrcoef(nearly, whole)[0, 1] > 0.98


def test_the_draws_are_those_of_numpy_for_the_same_key() -> None:
    values = np.random.default_rng(0).normal(size=20)
    places = random_state(("resamples", 1, "a")).integers(0, 20, (9_999, 20))
    ours = resampled_means(values[:, None], np.ones((20, 1)), (1, "a"))[:, 0]
    np.testing.assert_allclose(ours, values[places].mean(1), rtol=1e-10)


def test_the_draws_of_many_images_are_the_same_in_blocks() -> None:
    values = np.random.default_rng(0).normal(size=4_200)  # beyond what is kept in memory
    means = resampled_means(values[:, None], np.ones((4_200, 1)), (1,))[:, 0]
    assert len(means) == 9_999
    assert np.std(means) == pytest.approx(stats.sem(values, ddof=0), rel=0.03)
    first = random_state(("resamples", 1)).integers(0, 4_200, (10, 4_200))
    np.testing.assert_allclose(means[:10], values[first].mean(1), rtol=1e-9)


def test_a_difference_is_taken_where_both_have_a_value() -> None:
    before = pool(np.array([1.0, 2.0, 3.0]), np.ones(3, bool), np.array([0, 1, 0]), ["a", "a", "b"], 2)
    after = pool(np.array([5.0, 7.0, 9.0]), np.ones(3, bool), np.array([0, 0, 1]), ["a", "b", "c"], 2)
    found = difference(before, after)
    assert found.ids.tolist() == ["a", "b"]
    assert found.sums.tolist() == [[4.0, 0.0], [4.0, 0.0]]
    assert found.counts.tolist() == [[1.0, 0.0], [1.0, 0.0]]


def test_common_images_without_a_common_concept_are_dropped() -> None:
    one = pool(np.array([1.0, 2.0]), np.ones(2, bool), np.array([0, 0]), ["a", "b"], 2)
    other = pool(np.array([3.0, 4.0]), np.ones(2, bool), np.array([1, 0]), ["a", "b"], 2)
    assert [clusters.ids.tolist() for clusters in common([one, other])] == [["b"], ["b"]]
