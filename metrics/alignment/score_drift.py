"""How far the score moves when the image is changed, in units of its own spread."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ambench.by_concept import sums
from ambench.core import Better, Ledger, Scores, Trial, Values
from ambench.finite import refuse_broken

from ._robustness import Change, Robustness, mean_over


@dataclass(frozen=True)
class ScoreDrift(Robustness[Scores]):
    """Mean distance between the score of an image and of its changed copies, over the score's deviation; down, >= 0.

    Ours, after Lysnaes-Larsen et al. 2025. The standard deviation is that of the concept's scores on the images
    scored; a score that is the same for all of them is undefined. Scores that forget the image would give 1.13.

    >>> from ambench.core import Case, Concepts, Truth
    >>> truth = Truth(torch.tensor([[True], [False]]))
    >>> case = Case(torch.rand(2, 3, 8, 8), torch.tensor([[0], [0]]), truth, ("a", "b"))
    >>> before, after = Scores(torch.tensor([[3.0], [1.0]])), Scores(torch.tensor([[2.5], [1.0]]))
    >>> concepts, metric = Concepts(("ring",), case.images, truth.present), ScoreDrift(augmentations=("noise",))
    >>> values = metric.score(Trial(None, case, before, concepts, None, None, lambda images, case: after))
    >>> metric.finish(values, Ledger(case.ids, case.targets, before.scores, truth)).values.tolist()  # deviation 1
    [[0.5], [0.0]]
    """

    reads: ClassVar[type[Scores]] = Scores
    better: ClassVar[Better] = "lower"
    range: ClassVar[tuple[float, float]] = (0.0, math.inf)

    def score(self, trial: Trial[Scores]) -> Values | None:
        """Return how far the score moves [B, T], in its own units."""
        before = trial.explanation.scores
        refuse_broken(trial, before, "score")

        def moved(change: Change) -> Tensor:
            refuse_broken(trial, change.answer.scores, f"score after {change.augmentation.name}")
            return (change.answer.scores.double() - before.double()).abs()

        return Values.of(*mean_over(self.changes(trial), moved))

    def finish(self, values: Values, ledger: Ledger) -> Values:
        """Return the same, over the deviation of each concept's scores."""
        scores, targets = ledger.scores.double(), ledger.targets
        count = sums(targets, torch.ones_like(scores))
        distance = scores - sums(targets, scores) / count
        deviation = (sums(targets, distance**2) / count).sqrt()
        spread = deviation > 1e-12 * scores.abs().max().clamp_min(1) if scores.numel() else deviation > 0
        return Values.of(
            values.values / torch.where(spread, deviation, torch.ones_like(deviation)), values.defined & spread
        )
