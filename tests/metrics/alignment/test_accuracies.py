"""Normal and hard accuracy are scikit-learn's balanced accuracy, with weights, and on the hard pairs."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from sklearn.metrics import balanced_accuracy_score
from torch import Tensor

import trials
from ambench import registry
from ambench.by_concept import ByConcept
from ambench.core import Case, Truth, Values, generator

PLAIN = {"masks": None, "distractors": None, "object": None}


def accuracy(name: str, scores: Tensor, truth: Truth, targets: Tensor | None = None, threshold: float = 0.0) -> Values:
    """The final values for scores [N, T], with one threshold for all concepts."""
    asked = torch.zeros_like(scores, dtype=torch.long) if targets is None else targets
    case = Case(torch.zeros(len(scores), 3, 2, 2), asked, truth, tuple(f"i{n}" for n in range(len(scores))))
    given = trials.trial(case, lambda images, case: trials.Scores(scores))
    learned = ByConcept.of(torch.arange(3)[:, None], lambda _: threshold)
    values = trials.measure(registry.load("metrics", name), [given], learned)
    assert values is not None
    return values


def drawn(seed: int, count: int = 40) -> tuple[Tensor, Truth]:
    draw = generator("accuracies", seed)
    present = torch.rand(count, 1, generator=draw) < 0.3
    present[:2] = torch.tensor([[True], [False]])
    hard = torch.rand(count, 1, generator=draw) < 0.5
    hard[:2] = True
    weight = torch.rand(count, 1, generator=draw, dtype=torch.float64)
    scores = torch.randn(count, 1, generator=draw) + present
    return scores, Truth(present, hard=hard, weight=weight)


def test_normal_accuracy_is_sklearns_balanced_accuracy() -> None:
    for scores, truth in map(drawn, range(100)):
        expected = balanced_accuracy_score(truth.present[:, 0], scores[:, 0] > 0)
        found = accuracy("normal_accuracy", scores, replace(truth, weight=None))
        assert trials.means(found) == pytest.approx(expected, abs=1e-12)


def test_weights_are_sklearns_sample_weights() -> None:
    for scores, truth in map(drawn, range(100)):
        weight = truth.weight[:, 0]
        expected = balanced_accuracy_score(truth.present[:, 0], scores[:, 0] > 0, sample_weight=weight)
        assert trials.means(accuracy("normal_accuracy", scores, truth)) == pytest.approx(expected, abs=1e-12)


def test_hard_accuracy_is_sklearns_balanced_accuracy_of_hard_pairs() -> None:
    for scores, truth in map(drawn, range(100)):
        hard = truth.hard[:, 0]
        expected = balanced_accuracy_score(truth.present[hard, 0], scores[hard, 0] > 0)
        found = accuracy("hard_accuracy", scores, truth)
        assert trials.means(found) == pytest.approx(expected, abs=1e-12)
        assert torch.equal(found.defined, truth.hard)


@pytest.mark.parametrize("seed", range(20))
def test_the_four_cells_weighted_give_normal_accuracy(seed: int) -> None:
    scores, truth = drawn(seed)
    right = ((scores > 0) == truth.present).double()
    total = 0.0
    for shown in (truth.present, ~truth.present):
        for cell in (shown & truth.hard, shown & ~truth.hard):
            share = truth.weight[cell].sum() / truth.weight[shown].sum()
            total += share * (right[cell] * truth.weight[cell]).sum() / truth.weight[cell].sum() / 2
    assert total == pytest.approx(trials.means(accuracy("normal_accuracy", scores, truth)), abs=1e-12)


def test_where_every_answer_is_right_nothing_varies() -> None:
    truth = drawn(0)[1]
    values = accuracy("normal_accuracy", torch.where(truth.present, 1.0, -1.0), truth).values
    assert torch.allclose(values, torch.ones_like(values), atol=1e-12)


def test_the_values_spread_is_that_of_the_accuracy() -> None:
    scores, truth = drawn(3, count=400)
    values = accuracy("normal_accuracy", scores, truth).values[:, 0]
    rows = torch.randint(400, (2000, 400), generator=generator("resamples"))
    right, weight, present = ((scores > 0) == truth.present)[:, 0].double(), truth.weight[:, 0], truth.present[:, 0]
    rates = [((right * weight * side)[rows].sum(1) / (weight * side)[rows].sum(1)) for side in (present, ~present)]
    resampled = (rates[0] + rates[1]) / 2  # the weighted balanced accuracy of each resample, computed anew
    assert float(values.std() / 20) == pytest.approx(float(resampled.std()), rel=0.1)


def test_concepts_in_mixed_columns_are_balanced_each_on_its_own() -> None:
    draw = generator("mixed")
    targets = torch.rand(60, 3, generator=draw).argsort(1)[:, :2]
    present = torch.rand(60, 2, generator=draw) < 0.4
    scores = torch.randn(60, 2, generator=draw) + present
    values = accuracy("normal_accuracy", scores, Truth(present), targets)
    for concept in range(3):
        here = targets == concept
        expected = balanced_accuracy_score(present[here], scores[here] > 0)
        assert values.values[here].mean().item() == pytest.approx(expected, abs=1e-12)


def test_who_reads_the_context_scores_zero_and_who_reads_the_concept_one() -> None:
    _, truth = drawn(0)
    context = (truth.present ^ truth.hard).float() - 0.5
    concept = truth.present.float() - 0.5
    assert trials.means(accuracy("hard_accuracy", context, truth)) == 0
    assert trials.means(accuracy("hard_accuracy", concept, truth)) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("name", ["normal_accuracy", "hard_accuracy"])
def test_a_score_on_the_threshold_counts_half_and_is_flat(name: str) -> None:
    _, truth = drawn(0)
    values = accuracy(name, torch.zeros(40, 1), truth)
    assert trials.means(values) == pytest.approx(0.5, abs=1e-12)
    assert torch.equal(values.flat, values.defined)


@pytest.mark.parametrize("present", [True, False])
@pytest.mark.parametrize("name", ["normal_accuracy", "hard_accuracy"])
def test_one_class_alone_is_undefined(name: str, present: bool) -> None:
    truth = Truth(torch.full((9, 1), present), hard=torch.ones(9, 1).bool())
    values = accuracy(name, torch.randn(9, 1, generator=generator("one")), truth)
    assert not values.defined.any()


def test_hard_accuracy_without_one_of_its_cells_is_undefined() -> None:
    scores, truth = drawn(0)
    values = accuracy("hard_accuracy", scores, replace(truth, hard=truth.hard & truth.present))
    assert not values.defined.any()


def test_a_concept_that_calibration_did_not_show_is_undefined() -> None:
    metric = registry.load("metrics", "normal_accuracy")
    examples = trials.case(40, columns=1, part="calibrate")
    shown = replace(examples.truth, present=examples.truth.present | (examples.targets == 1))
    learned = trials.learn(metric, [trials.trial(replace(examples, truth=shown), trials.seen)])
    tested = trials.case(40)
    values = trials.measure(metric, [trials.trial(tested, trials.seen)], learned)
    assert torch.equal(values.defined, tested.targets != 1)


def test_a_concept_that_calibration_was_not_asked_for_is_undefined() -> None:
    metric = registry.load("metrics", "normal_accuracy")
    examples = trials.case(40, columns=1, part="calibrate")
    asked = examples.select([row for row in range(40) if examples.targets[row] < 2])
    learned = trials.learn(metric, [trials.trial(asked, trials.seen)])
    tested = trials.case(40)
    values = trials.measure(metric, [trials.trial(tested, trials.seen)], learned)
    assert torch.equal(values.defined, tested.targets < 2)


def test_scores_of_an_independent_coin_are_right_half_of_the_time() -> None:
    draw = generator("coin")
    present = torch.rand(4000, 1, generator=draw) < 0.2
    values = accuracy("normal_accuracy", torch.randn(4000, 1, generator=draw), Truth(present), threshold=0.7)
    positives = int(present.sum())
    share = 0.242  # of a standard normal above .7
    error = 0.5 * (share * (1 - share) * (1 / positives + 1 / (4000 - positives))) ** 0.5
    assert abs(trials.means(values) - 0.5) < 3 * error
