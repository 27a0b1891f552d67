"""Ranks: ties, groups and ranges where the answer is known beforehand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from ambench.clusters import Clusters
from ambench.core import InputError
from ambench.ranks import family
from ambench.resampling import flips_for, random_state
from ambench.statistics import holm, sign_flip_p

KEY = (0,)


def methods(*levels: float, noise: float = 0.05, n: int = 60) -> dict[str, Clusters]:
    """Methods a, b, … at these levels on images of shared difficulty."""
    random = np.random.default_rng(0)
    images = random.normal(size=n)
    return {chr(97 + i): Clusters.of(images + v + noise * random.normal(size=n)) for i, v in enumerate(levels)}


def test_methods_are_ordered_by_mean_in_the_metrics_direction() -> None:
    values = methods(0.1, 0.9, 0.5)
    assert [rank.method for rank in family(values, "higher", KEY).ranks()] == ["b", "c", "a"]
    assert [rank.method for rank in family(values, "lower", KEY).ranks()] == ["a", "c", "b"]
    for better, order in (("higher", "bca"), ("lower", "acb")):
        for rank in family(values, better, KEY).ranks():
            assert rank.mean == pytest.approx(values[rank.method].pooled())
            assert rank.rank == rank.low == rank.high == 1 + order.index(rank.method)


def test_equal_methods_share_the_mean_rank_and_the_group() -> None:
    values = methods(0.5)
    ranks = family({"x": values["a"], "y": values["a"], "z": values["a"]}, "higher", KEY).ranks()
    assert [(rank.rank, rank.low, rank.high, rank.group) for rank in ranks] == [(2.0, 2.0, 2.0, 1)] * 3


def test_groups_part_where_pairs_differ() -> None:
    ranks = family(methods(0.9, 0.9, 0.3, 0.3, 0.0), "higher", KEY).ranks()
    assert [rank.group for rank in ranks] == [1, 1, 2, 2, 3]
    assert {rank.method for rank in ranks[:2]} == {"a", "b"}


def test_p_of_a_pair_is_holms_of_its_own_sign_flip_test() -> None:
    values = methods(0.5, 0.52, 0.6)
    found = family(values, "higher", KEY)
    pairs = [("a", "b"), ("a", "c"), ("b", "c")]
    raw = [sign_flip_p(values[x].shares() - values[y].shares(), KEY, tests=3) for x, y in pairs]
    for (x, y), p in zip(pairs, holm(raw), strict=True):
        assert found.p[found.names.index(x), found.names.index(y)] == pytest.approx(p, rel=1e-12)


def test_only_common_images_are_compared() -> None:
    one = Clusters.of([0.0, 1.0, 1.0], ["a", "b", "c"])
    other = Clusters.of([1.0, 1.0, 0.0], ["b", "c", "d"])
    found = family({"one": one, "other": other}, "higher", KEY)
    assert found.n == 2
    assert [rank.mean for rank in found.ranks()] == [1.0, 1.0]


def test_rank_ranges_are_those_of_resampled_images() -> None:
    values = methods(0.50, 0.51, 0.53, noise=0.2, n=40)
    ranks = {rank.method: rank for rank in family(values, "higher", KEY).ranks()}
    table = np.stack([values[name].shares() for name in "abc"], axis=1)
    places = random_state(("resamples", *KEY)).integers(0, 40, (9_999, 40))
    resampled = stats.rankdata(-table[places].mean(1), axis=1)
    for column, name in enumerate("abc"):
        low, high = np.quantile(resampled[:, column], [0.025, 0.975])
        assert (ranks[name].low, ranks[name].high) == (low, high)


def test_fewer_than_five_images_leave_every_rank_open() -> None:
    ranks = family(methods(0.1, 0.9, n=4), "higher", KEY).ranks()
    assert [(rank.low, rank.high) for rank in ranks] == [(1.0, 2.0)] * 2


def test_of_null_families_about_5_percent_show_any_difference() -> None:
    random = np.random.default_rng(0)
    false_alarms = 0
    for _ in range(200):
        values = {name: Clusters.of(random.normal(size=30)) for name in "abcd"}
        false_alarms += bool((family(values, "higher", KEY).p < 0.05).any())
    assert false_alarms / 200 <= 0.09


def test_forty_methods_can_still_differ() -> None:
    values = methods(*np.linspace(0, 1, 40), noise=0.001, n=20)
    assert (family(values, "higher", KEY).p[0, 1:] < 0.05).all()
    assert flips_for(780) > 9_999


def test_a_metric_without_a_direction_ranks_nothing() -> None:
    with pytest.raises(InputError, match="without a better direction"):
        family(methods(0.1, 0.2), "neither", KEY)
