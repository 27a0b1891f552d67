"""Estimated hard accuracy is scikit-learn's balanced accuracy on what scikit-learn's own probe misjudges."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from torch import Tensor

import trials
from ambench import registry
from ambench.core import Case, Scores, Truth

module = importlib.import_module("ambench.metrics.alignment.estimated_hard_accuracy")


def case(count: int, seed: int, strength: float = 1.0) -> Case:
    """Pictures [4, 2, 2] whose mean tells the concept as well as `strength` says, and a truth without contexts."""
    random = torch.Generator().manual_seed(seed)
    present = torch.rand(count, 1, generator=random) < 0.5
    images = torch.randn(count, 4, 2, 2, generator=random)
    images[:, 0] += strength * present[:, :, None].float()
    return Case(images, torch.zeros(count, 1).long(), Truth(present), tuple(f"{seed}-{i}" for i in range(count)))


def answer(images: Tensor, asked: Case) -> Scores:
    return Scores(images[:, 1:].mean((1, 2, 3))[:, None] + 0.3 * asked.truth.present)


def judged(test: Case, examples: Case) -> Any:
    metric = registry.load("metrics", "estimated_hard_accuracy")
    learned = trials.learn(metric, [trials.trial(examples, answer)])
    return trials.measure(metric, [trials.trial(test, answer)], learned), learned


def reference_logits(test: Case, examples: Case) -> np.ndarray:
    seen = examples.images.mean((2, 3)).double().numpy()
    scale = np.sqrt(((seen - seen.mean(0)) ** 2).mean())
    probe = LogisticRegression(C=1, class_weight="balanced", max_iter=1000)
    probe.fit((seen - seen.mean(0)) / scale, examples.truth.present[:, 0].numpy())
    return probe.decision_function((test.images.mean((2, 3)).double().numpy() - seen.mean(0)) / scale)


@pytest.mark.parametrize("strength", [1.0, 4.0])
def test_the_hard_pairs_are_those_that_another_probe_misjudges(strength: float) -> None:
    test, examples = case(300, 0, strength), case(120, 1, strength)
    values, learned = judged(test, examples)
    logits, present = reference_logits(test, examples), test.truth.present[:, 0].numpy()
    hard = (logits > 0) != present
    if min((hard & present).sum(), (hard & ~present).sum()) < 20:
        hard = np.zeros_like(hard)
        for side, sign in ((present, 1), (~present, -1)):
            rows = np.flatnonzero(side)
            hard[rows[np.argsort(sign * logits[rows])[: round(0.25 * len(rows))]]] = True
    np.testing.assert_array_equal(values.defined[:, 0].numpy(), hard)
    said = answer(test.images, test).scores[:, 0].numpy() > learned.thresholds[0].item()
    assert trials.means(values) == pytest.approx(balanced_accuracy_score(present[hard], said[hard]), abs=1e-12)


def test_too_few_misjudged_images_make_way_for_the_quarter_nearest_to_it() -> None:
    logits = torch.linspace(-4, 4, 80)
    present = logits > 0
    present[40] = False  # one image is misjudged
    hard = module.misjudged(logits, present)
    assert int((hard & present).sum()) == round(0.25 * int(present.sum()))
    assert logits[hard & present].max() < logits[present & ~hard].min()
    assert logits[hard & ~present].min() > logits[~present & ~hard].max()


def test_the_probe_on_trial_does_not_choose_its_own_hard_pairs() -> None:
    """Other scores leave the hard pairs what they were."""
    test, examples = case(300, 0), case(120, 1)
    metric = registry.load("metrics", "estimated_hard_accuracy")
    chosen = []
    for sign in (1, -1):

        def turned(images: Tensor, asked: Case, sign: int = sign) -> Scores:
            return Scores(sign * answer(images, asked).scores)

        learned = trials.learn(metric, [trials.trial(examples, turned)])
        chosen.append(trials.measure(metric, [trials.trial(test, turned)], learned).defined)
    assert torch.equal(*chosen)


def test_test_images_do_not_move_the_reference() -> None:
    examples = case(120, 1)
    before = judged(case(300, 0), examples)[1]
    after = judged(case(200, 7), examples)[1]
    assert torch.equal(before.vectors, after.vectors)
    assert torch.equal(before.thresholds, after.thresholds)


def test_a_concept_that_the_calibration_part_hardly_shows_is_undefined() -> None:
    examples = case(60, 1)
    few = torch.cat([examples.truth.present.nonzero()[:4, 0], (~examples.truth.present).nonzero()[:, 0]])
    values, _ = judged(case(100, 0), examples.select(few.tolist()))
    assert not values.defined.any()
