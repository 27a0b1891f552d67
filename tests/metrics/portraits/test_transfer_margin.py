"""Margins worked out by hand on linear judges."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

import pixels
from ambench import registry

ROWS = torch.tensor([[3.0, 0.0, 1.0], [0.0, 2.0, 0.0], [1.0, 0.0, 1.5]])


def margin(trial: object, spec: str = "transfer_margin:competence=0") -> torch.Tensor | None:
    values = registry.load("metrics", spec).score(trial)
    return None if values is None else values.values[:, 0]


def test_of_a_class_it_is_the_lead_over_the_strongest_rival_in_natural_deviations() -> None:
    natural, portraits = pixels.colours(40), pixels.colours(6, seed=1)
    targets = [0, 1, 2, 0, 1, 2]
    judges = [pixels.linear(ROWS, "one"), pixels.linear(-ROWS, "other")]
    found = margin(pixels.judged(portraits, targets, pixels.natural(natural), pixels.linear(ROWS.T), judges))
    assert found is not None
    for row, target in enumerate(targets):
        total = 0.0
        for rows in (ROWS, -ROWS):
            rivals = [unit for unit in range(3) if unit != target]

            def lead(colours: torch.Tensor, rows: torch.Tensor = rows, rivals: list[int] = rivals) -> torch.Tensor:
                logits = colours.double() @ rows.double().T
                return logits[:, target] - logits[:, rivals].amax(1)  # noqa: B023

            total += float(lead(portraits[row : row + 1])) / float(lead(natural).std())
        assert float(found[row]) == pytest.approx(total / 2, rel=1e-5)


def test_a_unit_that_stands_alone_is_measured_from_images_without_the_concept() -> None:
    natural, portraits = pixels.colours(40), pixels.colours(3, seed=1)
    concepts = pixels.natural(natural)
    judge = pixels.linear(ROWS, "one", classes=())
    found = margin(pixels.judged(portraits, [0, 1, 2], concepts, pixels.linear(ROWS.T), [judge]))
    assert found is not None
    for row in range(3):
        logits = natural.double() @ ROWS[row].double()
        without = logits[~concepts.present[:, row]].mean()
        expected = (portraits[row].double() @ ROWS[row].double() - without) / logits.std()
        assert float(found[row]) == pytest.approx(float(expected), rel=1e-5)


def test_a_class_may_be_called_by_its_number() -> None:
    """The datasets of class outputs name them so; `transfer` then asks for the answer, too."""
    natural, portraits = pixels.colours(40), pixels.colours(3, seed=1)
    concepts = pixels.natural(natural)
    named = pixels.judged(portraits, [0, 1, 2], concepts, pixels.linear(ROWS.T), [pixels.linear(ROWS, "one")])
    judge = pixels.linear(ROWS, "one", names=("red", "green", "blue"))
    judge = replace(judge, units={**judge.units, "0": 0, "1": 1, "2": 2})
    numbered = pixels.judged(
        portraits, [0, 1, 2], replace(concepts, names=("0", "1", "2")), pixels.linear(ROWS.T), [judge]
    )
    for spec in ("transfer_margin:competence=0", "transfer:competence=0"):
        one, other = margin(named, spec), margin(numbered, spec)
        assert one is not None
        assert other is not None
        assert torch.equal(one, other)


def test_the_source_does_not_judge_and_the_dead_score_nothing() -> None:
    natural, portraits = pixels.colours(40), pixels.colours(3, seed=1)
    source = pixels.linear(ROWS)
    assert margin(pixels.judged(portraits, [0, 1, 2], pixels.natural(natural), source, [source])) is None
    judge = pixels.linear(ROWS, "one")
    found = margin(
        pixels.judged(portraits, [0, 1, 2], pixels.natural(natural), source, [judge], alive=[True, False, True])
    )
    assert found is not None
    assert found[1] == 0
    assert found[0] != 0
