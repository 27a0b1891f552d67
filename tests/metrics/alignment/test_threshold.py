"""The threshold is the middle of the widest interval on which balanced accuracy is best."""

from __future__ import annotations

import importlib

import numpy as np
import pytest
import torch
from sklearn.metrics import balanced_accuracy_score

from ambench.core import generator

threshold = importlib.import_module("ambench.metrics.alignment._threshold")


def by_hand(scores: np.ndarray, present: np.ndarray) -> float:
    """Try every gap between neighbouring scores; join equally good ones that touch; take the widest."""
    cuts = np.unique(scores)
    middles = (cuts[:-1] + cuts[1:]) / 2
    quality = np.array([balanced_accuracy_score(present, scores > middle) for middle in middles])
    runs, best = [], quality.max() - 1e-12
    for gap, good in enumerate(quality >= best):
        if good and runs and runs[-1][1] == cuts[gap]:
            runs[-1][1] = cuts[gap + 1]
        elif good:
            runs.append([cuts[gap], cuts[gap + 1]])
    low, high = max(runs, key=lambda run: run[1] - run[0])
    return (low + high) / 2


def test_it_is_the_one_found_by_trying_every_gap() -> None:
    for seed in range(50):
        draw = generator("threshold", seed)
        present = torch.cat([torch.tensor([True, False]), torch.rand(14, generator=draw) < 0.4])
        scores = (4 * torch.randn(16, generator=draw) + 3 * present).round() / 2  # with ties
        found = threshold.best_threshold(scores, present)
        assert found == pytest.approx(by_hand(scores.numpy(), present.numpy()), abs=1e-12)


@pytest.mark.parametrize(
    ("scores", "present", "expected"),
    [
        ([0.0, 1.0, 3.0, 4.0], [0, 0, 1, 1], 2.0),
        ([0.0, 1.0, 2.0, 6.0], [0, 1, 0, 1], 4.0),  # the gaps from 0 and from 2 are as good; the second is wider
        ([0.0, 1.0, 1.0, 5.0], [0, 0, 1, 1], 2.5),  # tied scores cancel, so that their two gaps are one interval
        ([7.0, 7.0, 7.0], [0, 1, 1], 7.0),  # nothing to tell apart: everything lies on it
    ],
)
def test_hand_values(scores: list[float], present: list[int], expected: float) -> None:
    assert threshold.best_threshold(torch.tensor(scores), torch.tensor(present).bool()) == expected


@pytest.mark.parametrize("present", [[], [1, 1], [0, 0, 0]])
def test_without_both_classes_there_is_none(present: list[int]) -> None:
    shown = torch.tensor(present).bool()
    assert threshold.best_threshold(torch.arange(len(present)).float(), shown) is None


def test_it_follows_scale_and_shift_of_the_scores() -> None:
    draw = generator("scale")
    scores, present = torch.randn(40, generator=draw, dtype=torch.float64), torch.rand(40, generator=draw) < 0.5
    one, other = (threshold.best_threshold(s, present) for s in (scores, 100 * scores - 7))
    assert other == pytest.approx(100 * one - 7, rel=1e-12)
