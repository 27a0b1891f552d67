"""Balanced accuracy of a concept's score where the usual context is absent or misleads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from ambench.core import Ledger, Metric, Scores, Trial, Values

from ._by_concept import balanced, best_threshold, learn, look_up, rightness
from ._located import refuse_not_finite


@dataclass(frozen=True)
class HardAccuracy(Metric[Scores]):
    """Does the score still tell them apart where context and concept disagree?

    Up, [0, 1], chance .5: the mean of the accuracies on images that show the concept without its context, and on those
    that show the context without the concept; same threshold as normal_accuracy. Below .5 the context decides.

    >>> HardAccuracy().needs
    ('hard',)
    """

    reads = Scores
    better = "higher"
    range = (0.0, 1.0)
    chance = 0.5
    needs = ("hard",)
    citation = "Lysnaes-Larsen et al. 2025, arXiv 2511.04312 (definition ours)"

    def observe(self, trial: Trial[Scores]) -> Tensor:
        """Return the scores [B, T]."""
        refuse_not_finite(trial, trial.explanation.scores, "score")
        return trial.explanation.scores

    def calibrate(self, ledger: Ledger) -> Any:
        """Return the threshold of each concept [K]."""
        return learn(ledger, ledger.scores, best_threshold)

    def score(self, trial: Trial[Scores]) -> Values | None:
        """Return 1 for a right answer, 0 for a wrong one [B, T], where the pair is hard; None if that is not known."""
        hard = trial.case.truth.hard
        if hard is None or trial.calibration is None:
            return None
        refuse_not_finite(trial, trial.explanation.scores, "score")
        thresholds = look_up(trial.calibration, trial.case.targets)
        right = rightness(trial.explanation.scores, thresholds, trial.case.truth.present)
        return Values.of(right, hard & ~thresholds.isnan())

    def finish(self, values: Values, ledger: Ledger) -> Values:
        """Return the values with the weights that make their mean the balanced accuracy on hard pairs."""
        return balanced(values, ledger)
