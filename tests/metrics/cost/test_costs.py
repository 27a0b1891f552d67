"""Each cost metric reads its own figure off a measurement, unchanged, and none where there is none."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from ambench import registry
from ambench.core import Case, Concepts, Cost, Model, Randomness, Trial, Truth, Values

COST = Cost(2.5, torch.tensor([0.1, 0.3], dtype=torch.float64), 2.0, 30.1, 8.3)
EXPECTED = {
    "fit_seconds": [[2.5]],
    "seconds_per_image": [[0.1], [0.3]],
    "model_passes": [[2.0]],
    "peak_rss_mib": [[30.1]],
    "peak_gpu_mib": [[8.3]],
}


def score(name: str, cost: Cost) -> Values | None:
    nothing = torch.empty(0)
    model = Model("none", "none", torch.nn.Identity(), {}, {}, "", ())
    case = Case(nothing, nothing[:, None].long(), Truth(nothing[:, None].bool()), ())
    concepts = Concepts((), nothing, nothing[:, None].bool())
    trial = Trial(model, case, cost, concepts, Randomness((0,)), nothing.long())
    return registry.load("metrics", name).score(trial)


@pytest.mark.parametrize("name", EXPECTED)
def test_the_figure_is_read_unchanged_in_float64(name: str) -> None:
    values = score(name, COST)
    assert values is not None
    assert values.values.tolist() == EXPECTED[name]
    assert values.defined.all()
    assert not values.flat.any()


@pytest.mark.parametrize("name", EXPECTED)
def test_less_is_better_and_never_below_zero(name: str) -> None:
    metric = registry.load("metrics", name)
    assert (metric.better, metric.range[0], metric.reads) == ("lower", 0.0, Cost)


def test_without_a_gpu_there_is_no_gpu_figure() -> None:
    assert score("peak_gpu_mib", replace(COST, peak_gpu_mib=None)) is None


def test_without_countable_operations_there_are_no_passes() -> None:
    assert score("model_passes", replace(COST, model_passes=None)) is None
