"""Examples that no probe can learn from leave rows with a sentence, and cost no other row."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch

import ambench
from ambench.core import Case, Concepts, Part
from ambench.toy import Squares, network

PROBES = ("cav", "pattern_cav", "segmentation_cav", "combination_cav", "fp_cav", "cured_cav")


@dataclass(frozen=True)
class Changed(Squares):
    """The coloured squares with other examples to learn from, or other test images."""

    examples: Any = None
    tested: Any = None

    def concepts(self, part: Part) -> Concepts:
        known = super().concepts(part)
        return self.examples(known) if self.examples is not None and part == "fit" else known

    def __iter__(self) -> Iterator[Case]:
        for case in super().__iter__():
            yield self.tested(case) if self.tested is not None else case


def rows(method: str, metrics: str = "normal_accuracy,iou", **changes: Any) -> dict[tuple[str, str], tuple[str, str]]:
    """Status and reason by metric and concept."""
    found = ambench.evaluate(network(), method, Changed(count=64, **changes), metrics.split(","), jobs=0)
    return {(row.metric, row.concept): (row.status, row.error or "") for row in found.records}


def first_only(known: Concepts) -> Concepts:
    """One example shows red."""
    present = known.present.clone()
    rest = present[:, 0].nonzero()[1:, 0]
    present[rest, 0] = False
    return replace(known, present=present)


def everywhere(known: Concepts) -> Concepts:
    """All examples show red."""
    return replace(known, present=known.present.index_fill(1, torch.tensor([0]), True))


@pytest.mark.parametrize("method", PROBES)
def test_one_positive_example_is_too_few(method: str) -> None:
    for status, reason in rows(method, examples=first_only).values():
        assert status == "skipped"
        assert "5 examples with" in reason
        assert "'red'" in reason


@pytest.mark.parametrize("method", ["cav", "pattern_cav", "combination_cav", "fp_cav"])
def test_no_negatives_are_too_few(method: str) -> None:
    for status, reason in rows(method, examples=everywhere).values():
        assert status == "skipped"
        assert "without 'red'; there are 64 and 0" in reason


@pytest.mark.parametrize("method", ["cav", "pattern_cav"])
def test_identical_sets_and_constant_features_are_a_coin(method: str) -> None:
    def alike(known: Concepts) -> Concepts:
        return replace(known, images=torch.full_like(known.images, 0.5))

    def twice(known: Concepts) -> Concepts:
        half = known.images[:32]
        present = torch.arange(64)[:, None] < 32
        return replace(known, images=torch.cat([half, half]), present=present.expand(-1, 3))

    for examples in (alike, twice):
        found = ambench.evaluate(network(), method, Changed(count=64, examples=examples), "normal_accuracy", jobs=0)
        row = next(record for record in found.records if record.concept == "all")
        assert row.status == "ok"
        assert row.value == pytest.approx(0.5)
        assert row.n_flat == 64 * 3


@pytest.mark.parametrize("method", ["segmentation_cav", "combination_cav"])
def test_masks_that_cover_no_cell_are_named(method: str) -> None:
    def unmasked(known: Concepts) -> Concepts:
        masks = known.masks.clone()
        masks[:, 1] = False
        return replace(known, masks=masks)

    for status, reason in rows(method, examples=unmasked).values():
        assert status == "skipped"
        assert "no mask of 'green' covers any cell of layer 'features'" in reason
    for status, reason in rows(method, examples=lambda known: replace(known, masks=None)).values():
        assert status == "skipped"
        assert "masks" in reason


def test_a_concept_that_is_not_in_the_test_part_is_undefined_and_the_others_are_not() -> None:
    def absent(case: Case) -> Case:
        truth = case.truth
        masks = truth.masks.clone()
        masks[:, 2] = False
        return replace(case, truth=replace(truth, present=masks.flatten(2).any(2), masks=masks))

    found = ambench.evaluate(network(), "cav", Changed(count=64, tested=absent), ["normal_accuracy", "iou"], jobs=0)
    for row in found.records:
        assert row.status == "ok"
        assert (row.value is None) == (row.concept == "blue")
        assert row.n_undefined >= 64 or row.concept != "blue"


def test_an_unknown_layer_is_one_sentence_with_the_nearest_name() -> None:
    for status, reason in rows("cav:layer=feature").values():
        assert status == "failed"
        assert reason == "model 'toy' has no layer 'feature'; did you mean 'features'?"


def test_concepts_without_false_positives_are_named_and_the_others_scored() -> None:
    """Noise in the features of one concept fools its probe; the other two are told apart without a mistake."""

    def doubtful(known: Concepts) -> Concepts:
        random = torch.Generator().manual_seed(0)
        present = known.present.clone()
        present[:, 0] = torch.rand(len(present), generator=random) < 0.5  # red says nothing
        return replace(known, present=present)

    found = ambench.evaluate(
        network(), "fp_cav:fewest=5", Changed(count=64, examples=doubtful), ["normal_accuracy"], jobs=0
    )
    by_concept = {row.concept: row for row in found.records}
    assert by_concept["red"].status == "ok"
    assert by_concept["red"].value is not None
    for name in ("green", "blue"):
        assert by_concept[name].status == "skipped"
        assert f"too few false positives of '{name}' (0" in (by_concept[name].error or "")
    assert by_concept["all"].status == "ok"
    assert "without green, blue" in (by_concept["all"].error or "")
    assert by_concept["all"].value == by_concept["red"].value
    assert "in part" in found.table()
