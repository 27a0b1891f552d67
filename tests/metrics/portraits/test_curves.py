"""Curves of searches by numpy and by hand: how far, how soon, and after how many evaluations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from ambench import registry
from ambench.core import Concepts, Portraits, Skipped, Trial, Values
from pixels import colours, judged, linear, natural

EYE = torch.eye(3)
METRICS = ("normalised_best", "search_area", "evaluations_to_natural")
over_metrics = pytest.mark.parametrize("name", METRICS)


def searched(
    curves: Tensor, blind: Sequence[float], alive: Sequence[bool] | None = None, pool: Concepts | None = None
) -> Trial[Portraits]:
    """The trial of searches for red, whose logit is the red of the only pixel, so natural images go up to .9."""
    reds = torch.tensor([[0.2, 0.0, 0.0], [0.9, 0.1, 0.0], [0.4, 0.0, 0.1]])
    count = len(curves)
    trial = judged(colours(count), [0] * count, natural(reds) if pool is None else pool, linear(EYE), alive=alive)
    details = {"blind_mean": torch.tensor(blind), "in_logits": torch.ones(count).bool()}
    return replace(trial, explanation=replace(trial.explanation, history=curves, details=details))


def score(spec: str, trial: Trial[Portraits]) -> Values:
    values = registry.load("metrics", spec).score(trial)
    assert values is not None
    return values


def rising(count: int, evaluations: int) -> Tensor:
    steps = torch.rand(count, evaluations, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return 2 * steps.cummax(1).values - 0.5


def test_the_best_lies_between_blind_draws_and_the_strongest_natural_image():
    curves = torch.tensor([[-1.0, 0.9], [-1.0, -1.0], [0.0, 2.8]])
    values = score("normalised_best", searched(curves, [-1.0, -1.0, -1.0]))
    assert values.values[:, 0].tolist() == pytest.approx([1.0, 0.0, 2.0])
    assert values.defined.all()


@pytest.mark.parametrize(("first", "evaluations"), [(1, 50), (10, 1000), (100, 101)])
def test_the_area_is_the_integral_over_the_logarithm(first, evaluations):
    """By numpy: each best so far from its evaluation until the next, on a fine grid of logarithms."""
    curves = rising(3, evaluations)
    found = score(f"search_area:first={first}", searched(curves, [-0.3] * 3)).values[:, 0]
    grid = np.exp(np.linspace(np.log(first), np.log(evaluations), 400_001)[:-1])
    at = np.minimum(np.floor(grid * (1 + 1e-12)).astype(int), evaluations - 1) - 1
    expected = ((curves.numpy()[:, at] + 0.3) / 1.2).mean(1)
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-4)


def test_the_area_of_a_constant_is_its_height():
    values = score("search_area", searched(torch.full((1, 5000), 0.3), [-0.3])).values
    assert values.item() == pytest.approx(0.5)


def test_the_area_favours_the_search_that_was_sooner():
    late, soon = torch.zeros(1, 1000), torch.zeros(1, 1000)
    late[:, 500:], soon[:, 200:] = 0.9, 0.9
    values = score("search_area", searched(torch.cat([late, soon]), [0.0, 0.0])).values[:, 0]
    assert values.tolist() == pytest.approx([np.log(1000 / 501) / np.log(10), np.log(1000 / 201) / np.log(10)])


def test_evaluations_are_counted_until_natural_images_are_beaten():
    curves = torch.tensor([[1.0, 1.0, 1.0], [0.2, 0.9, 0.95], [0.2, 0.3, 0.9], [0.1, 0.2, 1.5]])
    values = score("evaluations_to_natural", searched(curves, [0.0] * 4))
    assert values.values[:, 0].tolist() == [1, 3, 3, 3]  # the third only draws level
    assert values.flat[:, 0].tolist() == [False, False, True, False]


@pytest.mark.parametrize(("scale", "offset"), [(3.0, 0.0), (0.01, -7.0)])
@over_metrics
def test_rescaling_the_logits_changes_nothing(name, scale, offset):
    curves = rising(4, 300)
    plain = searched(curves, [-0.4] * 4)
    louder = replace(
        plain,
        model=linear(scale * EYE, offset=offset),
        shared={},
        explanation=replace(
            plain.explanation,
            history=scale * curves + offset,
            details={**plain.explanation.details, "blind_mean": torch.full((4,), -0.4 * scale + offset)},
        ),
    )
    torch.testing.assert_close(score(name, louder).values, score(name, plain).values, atol=1e-5, rtol=1e-5)


def test_dead_portraits_score_nothing_and_their_whole_budget():
    trial = searched(torch.full((2, 200), 2.0), [0.0, 0.0], alive=[True, False])
    assert score("normalised_best", trial).values[1].item() == 0
    assert score("search_area", trial).values[1].item() == 0
    needed = score("evaluations_to_natural", trial)
    assert needed.values[:, 0].tolist() == [1, 200]
    assert needed.flat[:, 0].tolist() == [False, True]


def test_natural_images_below_blind_draws_are_no_measure():
    trial = searched(torch.full((2, 200), 2.0), [0.0, 0.9])
    for name in ("normalised_best", "search_area"):
        assert score(name, trial).defined[:, 0].tolist() == [True, False]


@over_metrics
def test_without_natural_images_there_is_nothing_to_beat(name):
    trial = searched(torch.ones(1, 200), [0.0], pool=natural(torch.empty(0, 3)))
    assert registry.load("metrics", name).score(trial) is None


@over_metrics
def test_portraits_of_no_search_are_skipped(name):
    trial = judged(colours(2), [0, 1], natural(colours(5)), linear(EYE))
    with pytest.raises(Skipped, match="keep no curve of evaluations"):
        registry.load("metrics", name).score(trial)


@over_metrics
def test_curves_of_probabilities_are_skipped(name):
    trial = searched(torch.ones(1, 200), [0.0])
    details = {**trial.explanation.details, "in_logits": torch.tensor([False])}
    with pytest.raises(Skipped, match="log-probabilities"):
        registry.load("metrics", name).score(replace(trial, explanation=replace(trial.explanation, details=details)))


@pytest.mark.parametrize("count", [1, 44, 98, 99, 100])
def test_a_budget_that_ends_before_the_area_begins_is_skipped(count):
    with pytest.raises(Skipped, match=f"{count} evaluations are no curve from evaluation 100 on"):
        score("search_area", searched(torch.ones(1, count), [0.0]))
