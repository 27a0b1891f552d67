"""What is read off TCAV's tests, class by class, and what is left out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor

import ambench
from ambench import registry, toy
from ambench.core import Directions, Randomness, Trial, Values

SCORE = [[0.9, 0.1, 0.5], [0.4, 0.6, 0.5]]  # [K, N]: of the third class there are no images
DETAILS = {
    "score": torch.tensor(SCORE, dtype=torch.float64),
    "sensitivity": torch.tensor([[2.0, -1.0, 0.0], [-0.1, 0.2, 0.0]], dtype=torch.float64),
    "p_adjusted": torch.tensor([[0.001, 0.02, 1.0], [0.6, 0.7, 1.0]], dtype=torch.float64),
    "permutation_p_family": torch.tensor([[0.01, 0.03, 1.0], [0.5, 0.8, 1.0]], dtype=torch.float64),
    "images": torch.tensor([12, 5, 0]),
    "chance": torch.tensor([False, False]),
}
METRICS = ("tcav_score", "tcav_significance")


def score(name: str, **changed: Tensor) -> Values:
    values = registry.load("metrics", name).score(trial({**DETAILS, **changed}))
    assert isinstance(values, Values)
    return values


def trial(details: Mapping[str, Tensor]) -> Trial[Any]:
    found = Directions(torch.eye(2, 3), torch.zeros(2), "features", "mean", details)
    concepts = toy.Squares().concepts("fit")
    return Trial(toy.network(), None, found, concepts, Randomness((0,)), torch.arange(3))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "detail"),
    [
        ("tcav_score", "score"),
        ("tcav_significance", "permutation_p_family"),
        ("tcav_significance:test=welch", "p_adjusted"),
    ],
)
def test_rows_are_classes_and_columns_concepts(name: str, detail: str) -> None:
    values = score(name)
    assert values.ids == ("red", "green", "blue")
    assert torch.equal(values.values[:2], DETAILS[detail].T[:2])
    assert values.defined.tolist() == [[True, True], [True, True], [False, False]]
    assert not values.flat.any()


@pytest.mark.parametrize("name", METRICS)
def test_a_concept_at_chance_is_refused(name: str) -> None:
    values = score(name, chance=torch.tensor([True, False]))
    assert values.defined.tolist() == [[False, True], [False, True], [False, False]]
    assert not values.values[:, 0].any()


def test_a_direction_that_moves_nothing_is_flat() -> None:
    still = torch.zeros_like(DETAILS["sensitivity"])
    values = score("tcav_score", score=torch.full((2, 3), 0.5), sensitivity=still)
    assert values.flat.tolist() == [[True, True], [True, True], [False, False]]
    assert values.values[:2].eq(0.5).all()


@pytest.mark.parametrize("name", METRICS)
def test_other_probes_have_nothing_to_read(name: str) -> None:
    assert registry.load("metrics", name).score(trial({"accuracy": torch.ones(2)})) is None


@pytest.mark.parametrize("name", METRICS)
def test_what_they_declare(name: str) -> None:
    metric = registry.load("metrics", name)
    assert metric.better == {"tcav_score": "neither", "tcav_significance": "lower"}[name]
    assert metric.range == (0, 1)
    assert metric.families == ("probes",)


def test_through_the_harness() -> None:
    frame = ambench.evaluate(
        models="python:ambench.toy:network",
        methods=["tcav:refits=3", "cav"],
        datasets="python:ambench.toy:Squares",
        metrics=list(METRICS),
        jobs=0,
    ).to_frame()
    found = frame[frame.method == "tcav:refits=3"]
    assert set(found.status) == {"ok"}
    assert set(found.concept) == {"red", "green", "blue", "all"}
    own = found[(found.metric == "tcav_score") & (found.concept != "all")]
    assert own.value.between(0, 1).all()
    assert (own.n + own.n_undefined == 3).all()  # classes
    others = frame[frame.method == "cav"]
    assert set(others.status) == {"skipped"}
    assert others.error.str.contains("could hold the answer against").all()
