"""Intervals and tests against scipy, hand values and simulations in which the truth is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from ambench.clusters import Clusters, difference
from ambench.core import InputError
from ambench.resampling import flips_for, random_state
from ambench.statistics import holm, paired, sign_flip_p, summarise, summarise_pooled, summarise_seeds

KEY = (0, "shapes")


def scipy_interval(values: NDArray[np.float64]) -> tuple[float, float]:
    """The interval that scipy finds with the very same resamples."""
    random = random_state(("resamples", *KEY))
    found = stats.bootstrap((values,), np.mean, n_resamples=9_999, method="BCa", rng=random).confidence_interval
    return float(found.low), float(found.high)


def binary_fractions(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Values whose sums are exact in any order, so that scipy sees a resample of each image once as the tie it is."""
    return np.round(values * 1024) / 1024


# ------------------------------------------------------------------------------------------------ intervals


@pytest.mark.parametrize("n", [5, 16, 64, 300])
@pytest.mark.parametrize("kind", ["normal", "exponential", "binary", "lognormal"])
def test_the_interval_equals_scipy_on_the_same_resamples(n: int, kind: str) -> None:
    random = np.random.default_rng(n)
    draws = {
        "normal": random.normal(size=n),
        "exponential": random.exponential(size=n),
        "binary": np.r_[1.0, (random.random(n - 1) < 0.3)],
        "lognormal": random.lognormal(sigma=2, size=n),
    }
    values = binary_fractions(draws[kind])
    found = summarise_pooled(Clusters.of(values), KEY)
    assert (found.ci_low, found.ci_high) == pytest.approx(scipy_interval(values), rel=1e-9)
    assert found.value == pytest.approx(values.mean(), rel=1e-12)


def test_the_interval_agrees_with_scipy_on_other_resamples() -> None:
    values = np.random.default_rng(1).gamma(2, size=80)
    ours = summarise_pooled(Clusters.of(values), KEY)
    other = stats.bootstrap((values,), np.mean, n_resamples=9_999, method="BCa", rng=np.random.default_rng(5))
    width = other.confidence_interval.high - other.confidence_interval.low
    assert ours.ci_low == pytest.approx(other.confidence_interval.low, abs=0.05 * width)
    assert ours.ci_high == pytest.approx(other.confidence_interval.high, abs=0.05 * width)


def test_concepts_asked_of_some_images_resample_images_as_scipy_does() -> None:
    random = np.random.default_rng(3)
    n, asked, concepts = 40, 2, 3
    values = random.normal(size=(n, asked))
    targets = np.stack([random.permutation(concepts)[:asked] for _ in range(n)])
    defined = random.random((n, asked)) < 0.9

    def mean_of_means(rows: NDArray[np.int64]) -> float:
        means = []
        for concept in range(concepts):
            chosen = defined[rows] & (targets[rows] == concept)
            means.append(values[rows][chosen].mean())
        return float(np.mean(means))

    names = [f"{i:03d}" for i in range(n)]
    kept = np.flatnonzero(defined.any(1))  # an image without any truth is not resampled
    reference = stats.bootstrap(
        (kept,),
        mean_of_means,
        n_resamples=9_999,
        method="BCa",
        vectorized=False,
        rng=random_state(("resamples", *KEY)),
    ).confidence_interval
    found = summarise(values, defined, targets, names, ["a", "b", "c"], KEY)["all"]
    assert found.value == pytest.approx(mean_of_means(np.arange(n)), rel=1e-12)
    assert (found.ci_low, found.ci_high) == pytest.approx((reference.low, reference.high), rel=1e-9)
    assert found.n_undefined == int((~defined).sum())


def test_all_is_the_mean_of_the_concepts_means_whatever_their_numbers() -> None:
    values = np.array([[1.0]] * 15 + [[0.0]] * 5)
    concepts = np.array([[0]] * 15 + [[1]] * 5)
    found = summarise(values, np.ones((20, 1), bool), concepts, [f"{i:02d}" for i in range(20)], ["a", "b"], KEY)
    assert (found["a"].value, found["b"].value, found["all"].value) == (1.0, 0.0, 0.5)
    assert (found["a"].n, found["b"].n, found["all"].n) == (15, 5, 20)


def test_where_a_concept_has_one_image_the_interval_is_that_of_the_plain_mean() -> None:
    values = binary_fractions(np.random.default_rng(0).normal(size=12))
    names = [f"c{i:02d}" for i in range(12)]
    found = summarise(values[:, None], np.ones((12, 1), bool), np.arange(12)[:, None], names, names, KEY)
    assert (found["all"].ci_low, found["all"].ci_high) == pytest.approx(scipy_interval(values), rel=1e-9)
    assert found["c00"].value == pytest.approx(values[0])
    assert found["c00"].ci_low is None


def test_restarts_of_a_portrait_are_one_cluster() -> None:
    units = binary_fractions(np.random.default_rng(2).normal(size=10))
    restarts = np.repeat(units, 4) + np.tile([-0.5, -0.25, 0.25, 0.5], 10)
    ids = np.repeat([f"u{i}" for i in range(10)], 4).tolist()
    concepts = np.repeat(np.arange(10), 4)[:, None]
    found = summarise(restarts[:, None], np.ones((40, 1), bool), concepts, ids, sorted(set(ids)), KEY)["all"]
    assert found.n == 10
    assert (found.ci_low, found.ci_high) == pytest.approx(scipy_interval(units), rel=1e-9)


@settings(max_examples=20, deadline=None)
@given(st.randoms(use_true_random=False))
def test_the_order_of_the_images_does_not_matter(random: object) -> None:
    values = np.random.default_rng(7).random((20, 2))
    ids = [f"image-{i}" for i in range(20)]
    order = list(range(20))
    random.shuffle(order)  # type: ignore[attr-defined]
    one, other = (
        summarise(values[o], np.ones((20, 2), bool), np.tile([0, 1], (20, 1)), [ids[i] for i in o], ["a", "b"], KEY)
        for o in (list(range(20)), order)
    )
    assert one == other


@pytest.mark.parametrize("value", [0.0, 0.1, 1 / 3, 1e9])
def test_constant_values_have_a_point_and_no_interval(value: float) -> None:
    found = summarise_pooled(Clusters.of(np.full(50, value)), KEY)
    assert found.value == pytest.approx(value, rel=1e-12)
    assert (found.ci_low, found.ci_high) == (None, None)


@pytest.mark.parametrize(("n", "has_interval"), [(1, False), (4, False), (5, True)])
def test_fewer_than_five_images_have_no_interval(n: int, has_interval: bool) -> None:
    found = summarise_pooled(Clusters.of(np.arange(n, dtype=float)), KEY)
    assert found.value == pytest.approx((n - 1) / 2)
    assert (found.ci_low is not None) is has_interval


def test_nothing_defined_is_no_value_and_all_counted() -> None:
    found = summarise(np.zeros((6, 1)), np.zeros((6, 1), bool), np.zeros((6, 1), int), list("abcdef"), ["ring"], KEY)
    for name in ("ring", "all"):
        assert (found[name].value, found[name].ci_low, found[name].n, found[name].n_undefined) == (None, None, 0, 6)


def test_undefined_values_are_left_out_whatever_number_they_hold() -> None:
    values = np.array([[0.25], [0.75], [np.nan], [9e9]])
    defined = np.array([[True], [True], [False], [False]])
    found = summarise(values, defined, np.zeros((4, 1), int), list("abcd"), ["ring"], KEY)["all"]
    assert (found.value, found.n, found.n_undefined) == (0.5, 2, 2)


def test_flat_answers_are_counted_by_concept() -> None:
    flat = np.array([[True, False], [True, True], [False, False]])
    concepts = np.tile([0, 1], (3, 1))
    found = summarise(np.ones((3, 2)), np.ones((3, 2), bool), concepts, list("abc"), ["a", "b"], KEY, flat)
    assert (found["a"].n_flat, found["b"].n_flat, found["all"].n_flat) == (2, 1, 3)


def test_a_concept_that_nobody_asked_has_no_row() -> None:
    found = summarise(np.ones((3, 1)), np.ones((3, 1), bool), np.ones((3, 1), int), list("abc"), ["a", "b"], KEY)
    assert set(found) == {"b", "all"}


def test_a_number_that_is_not_finite_is_refused_with_its_image() -> None:
    values = np.array([[0.0], [np.nan]])
    with pytest.raises(InputError, match="'second' is not finite"):
        summarise(values, np.ones((2, 1), bool), np.zeros((2, 1), int), ["first", "second"], ["ring"], KEY)


def test_no_concept_may_be_called_all() -> None:
    with pytest.raises(InputError, match="cannot be called 'all'"):
        summarise(np.ones((2, 2)), np.ones((2, 2), bool), [[0, 1]] * 2, ["a", "b"], ["all", "ring"], KEY)


def test_nominal_95_percent_intervals_cover_the_truth() -> None:
    random = np.random.default_rng(0)
    hits = 0
    for _ in range(400):
        found = summarise_pooled(Clusters.of(random.normal(size=64)), KEY)
        assert found.ci_low is not None
        assert found.ci_high is not None
        hits += found.ci_low <= 0 <= found.ci_high
    assert 0.90 <= hits / 400 <= 0.98


# ------------------------------------------------------------------------------------------------ pairs


@pytest.mark.parametrize("n", [2, 5, 10, 16])
@pytest.mark.parametrize("kind", ["normal", "ties"])
def test_up_to_16_images_p_equals_scipys_exact_permutation_test(n: int, kind: str) -> None:
    random = np.random.default_rng(n)
    values = random.normal(0.4, size=n) if kind == "normal" else random.integers(-1, 3, n).astype(float)
    reference = stats.permutation_test((values,), np.mean, permutation_type="samples", n_resamples=np.inf)
    assert sign_flip_p(values, KEY) == pytest.approx(float(reference.pvalue), rel=1e-12)


def test_beyond_16_images_p_agrees_with_scipy_within_monte_carlo_error() -> None:
    values = np.random.default_rng(4).normal(0.25, size=40)
    reference = stats.permutation_test(
        (values,), np.mean, permutation_type="samples", n_resamples=9_999, rng=np.random.default_rng(0)
    )
    p = sign_flip_p(values, KEY)
    assert p == pytest.approx(float(reference.pvalue), abs=5 * np.sqrt(p / 9_999))


def test_p_is_never_0() -> None:
    assert sign_flip_p(np.array([3.0]), KEY) == 1
    assert sign_flip_p(np.full(100, 1.0), KEY) == pytest.approx(1 / 10_000)


def test_the_smallest_p_survives_holm_over_any_number_of_tests() -> None:
    for tests in (1, 100, 780, 5_000):
        assert tests / (1 + flips_for(tests)) < 0.05


def test_paired_gives_mean_effect_size_and_scipys_interval() -> None:
    values = np.random.default_rng(8).normal(0.3, size=30)
    found = paired(Clusters.of(values), KEY)
    assert found.mean == pytest.approx(values.mean())
    assert found.effect == pytest.approx(values.mean() / values.std(ddof=1))
    assert (found.ci_low, found.ci_high) == pytest.approx(scipy_interval(values), rel=1e-9)
    assert found.n == 30


def test_concepts_of_one_image_flip_together() -> None:
    image_effect = np.array([1.0, 1.1, 0.9, 1.2])
    doubled = Clusters(
        np.array(list("abcd")), np.stack([image_effect, image_effect], axis=1), np.ones((4, 2), dtype=np.float64)
    )
    assert paired(doubled, KEY).p == pytest.approx(2 / 2**4)  # not 2 / 2**8
    assert paired(doubled, KEY).n == 4


def test_shuffled_ids_give_the_same_p() -> None:
    values = np.random.default_rng(0).normal(0.2, size=50)
    ids = [f"{i:02d}" for i in range(50)]
    order = np.random.default_rng(1).permutation(50)
    one = paired(Clusters.of(values, ids), KEY)
    assert paired(Clusters.of(values[order], [ids[i] for i in order]), KEY) == one


def test_no_difference_is_exactly_0_with_p_1() -> None:
    values = Clusters.of(np.random.default_rng(0).random(30))
    found = paired(difference(values, values), KEY)
    assert (found.mean, found.p, found.constant, found.excludes_zero) == (0.0, 1.0, True, False)


def test_a_constant_difference_excludes_0_without_an_interval() -> None:
    found = paired(Clusters.of(np.full(30, -0.2)), KEY)
    assert (found.ci_low, found.effect, found.constant) == (None, None, True)
    assert found.excludes_zero
    assert not paired(Clusters.of(np.full(4, -0.2)), KEY).excludes_zero


def test_no_common_image_is_refused() -> None:
    with pytest.raises(InputError, match="no image on both sides"):
        paired(difference(Clusters.of([1.0], ["a"]), Clusters.of([1.0], ["b"])), KEY)


def rejections(draws: NDArray[np.float64]) -> float:
    """How often 5 % is undercut among simulations [S, n]."""
    return float(np.mean([sign_flip_p(values, KEY) < 0.05 for values in draws]))


@pytest.mark.parametrize("n", [16, 64])
def test_of_600_simulated_nulls_about_5_percent_are_rejected(n: int) -> None:
    assert 0.03 <= rejections(np.random.default_rng(n).normal(size=(600, n))) <= 0.07


def test_of_600_simulated_binary_nulls_fewer_than_5_percent_are_rejected() -> None:
    random = np.random.default_rng(0)
    pairs = random.random((2, 600, 64)) < 0.3
    assert rejections(pairs[0].astype(float) - pairs[1]) < 0.05


def test_a_shift_of_half_a_standard_deviation_is_found_in_more_than_95_percent() -> None:
    assert rejections(np.random.default_rng(0).normal(0.5, size=(600, 64))) > 0.95


# ------------------------------------------------------------------------------------------------ families, seeds


def test_holm_on_the_textbook_example() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([]) == []


@settings(deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_holm_lies_between_p_and_bonferroni_and_keeps_the_order(p: list[float]) -> None:
    adjusted = holm(p)
    for raw, corrected in zip(p, adjusted, strict=True):
        assert min(raw, 1) <= corrected <= min(1, raw * len(p)) + 1e-12
    order = np.argsort(p, kind="stable")
    assert all(np.diff(np.array(adjusted)[order]) >= 0)


def test_seeds_are_a_random_effect_with_t_intervals() -> None:
    seeds = [Clusters.of([0.1, 0.3]), Clusters.of([0.3, 0.5]), Clusters.of([0.8, 1.0])]
    found = summarise_seeds(seeds)
    means = np.array([0.2, 0.4, 0.9])
    error = np.sqrt(means.var(ddof=1) / 3 + 0.02 / (3 * 2))
    assert found.value == pytest.approx(0.5)
    assert found.ci_high == pytest.approx(0.5 + 4.302652729911275 * error)  # t with 2 degrees of freedom
    assert found.ci_low == pytest.approx(0.5 - 4.302652729911275 * error)


def test_two_seeds_have_a_mean_and_no_interval() -> None:
    found = summarise_seeds([Clusters.of([0.1, 0.3]), Clusters.of([0.3, 0.5])])
    assert (found.value, found.ci_low) == (pytest.approx(0.3), None)


def test_a_seed_without_a_value_is_refused() -> None:
    with pytest.raises(InputError, match="needs a value of each"):
        summarise_seeds([Clusters.of([0.1]), Clusters.of([])])
