"""The gap between a probe and its control is the difference of the metrics themselves, image by image."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

import trials
from ambench import registry
from ambench.core import Case, Directions, Heatmaps, Rival, Skipped, Trial

CASE, EXAMPLES = trials.case(40), trials.case(60, part="calibrate")


def context(images: Tensor, asked: Case) -> Heatmaps:
    """An answer that reads the context and nothing of the concept; where contexts are unknown, the concept itself."""
    present, hard = asked.truth.present, asked.truth.hard
    return Heatmaps((present ^ hard).float(), torch.zeros(asked.truth.masks.shape))


def concept(images: Tensor, asked: Case) -> Heatmaps:
    return Heatmaps(asked.truth.present.float(), asked.truth.masks.float())


def directions(missing: dict[int, str]) -> Directions:
    return Directions(torch.zeros(3, 4), torch.zeros(3), "pixels", missing=missing)


def trial(case: Case, mine: trials.Answer, other: trials.Answer, missing: dict[int, str] | None = None) -> Trial[Any]:
    rival = Rival(directions(missing or {}), other)
    return trials.trial(case, mine, rival=lambda name: rival)


def gap(spec: str, mine: trials.Answer, other: trials.Answer, missing: dict[int, str] | None = None) -> Any:
    metric = registry.load("metrics", f"control_gap:{spec}")
    easy = replace(EXAMPLES, truth=replace(EXAMPLES.truth, hard=torch.zeros_like(EXAMPLES.truth.present)))
    learned = trials.learn(metric, [trial(easy, mine, other, missing)])
    return trials.measure(metric, [trial(CASE, mine, other, missing)], learned)


@pytest.mark.parametrize("of", ["hard_accuracy", "iou", "normal_accuracy"])
def test_a_probe_has_no_gap_to_itself(of: str) -> None:
    values = gap(f"of={of}", trials.seen, trials.seen)
    assert values.defined.any()
    assert not values.values.any()


def test_the_concept_is_one_ahead_of_the_context_where_the_context_misleads() -> None:
    assert trials.means(gap("of=hard_accuracy", concept, context)) == pytest.approx(1, abs=1e-12)
    assert trials.means(gap("of=hard_accuracy", context, concept)) == pytest.approx(-1, abs=1e-12)


@pytest.mark.parametrize("of", ["hard_accuracy", "iou", "normal_accuracy"])
def test_the_mean_is_the_difference_of_the_two_metrics(of: str) -> None:
    values = gap(f"of={of}", trials.seen, trials.unlike)
    metric = registry.load("metrics", of)
    means = []
    for answer in (trials.seen, trials.unlike):
        learned = trials.learn(metric, [trials.trial(EXAMPLES, answer)])
        means.append(trials.means(trials.measure(metric, [trials.trial(CASE, answer)], learned)))
    assert trials.means(values) == pytest.approx(means[0] - means[1], abs=1e-9)


def test_a_concept_without_a_control_is_left_out() -> None:
    values = gap("of=iou", trials.seen, trials.unlike, {1: "too few"})
    assert not values.defined[CASE.targets == 1].any()
    assert values.defined[CASE.targets == 0].any()


def test_the_controls_reason_is_carried() -> None:
    def none(name: str) -> Rival:
        raise Skipped(f"too few false positives of 'ring' for {name}")

    given = trials.trial(CASE, trials.seen, rival=none)
    with pytest.raises(Skipped, match="too few false positives of 'ring' for fp_cav"):
        registry.load("metrics", "control_gap:control=fp_cav").observe(given)


def test_a_batch_is_asked_once_of_the_control() -> None:
    calls = []

    def other(images: Tensor, asked: Case) -> Heatmaps:
        calls.append(len(images))
        return trials.seen(images, asked)

    given = trial(CASE, trials.seen, other)
    for of in ("hard_accuracy", "iou"):
        registry.load("metrics", f"control_gap:of={of}").observe(given)
    assert calls == [len(CASE)]
