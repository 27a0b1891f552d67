"""The threshold between yes and no: chosen on the calibration part for each concept, frozen before the test part."""

from __future__ import annotations

import torch
from torch import Tensor

from ambench.by_concept import ByConcept, best_threshold
from ambench.core import Ledger, Metric, Scores, Trial, Values
from ambench.finite import refuse_broken


class Thresholded(Metric[Scores]):
    """A metric that asks of each score on which side of its concept's threshold it lies."""

    def observe(self, trial: Trial[Scores]) -> Tensor:
        """Return the scores [B, T] of a calibration case; raises InputError where one is not finite."""
        refuse_broken(trial, trial.explanation.scores, "score")
        return trial.explanation.scores

    def calibrate(self, ledger: Ledger) -> ByConcept:
        """Return one threshold a concept, unknown where the calibration part does not show it with and without."""
        scores = ledger.observations if ledger.observations is not None else ledger.scores
        present = ledger.truth.present
        return ByConcept.of(ledger.targets, lambda asked: best_threshold(scores[asked], present[asked]))

    def judge(self, trial: Trial[Scores], answer: Scores) -> Values | None:
        """Return 1 where an answer's score [B, T] is on the right side, 0 on the wrong one, .5 on the threshold (flat).

        Undefined where the concept has no threshold; None where nothing was there to calibrate on.
        """
        if trial.calibration is None:
            return None
        refuse_broken(trial, answer.scores, "score")
        thresholds, known = trial.calibration.at(trial.case.targets)
        right = correctness(answer.scores, thresholds, trial.case.truth.present)
        return Values.of(right, known, right == 0.5)


def correctness(scores: Tensor, thresholds: Tensor, present: Tensor) -> Tensor:
    """Return 1 where a score is on its concept's right side, 0 on the wrong one, .5 on the threshold [B, T] float64."""
    side = (scores.double() - thresholds).sign()  # [B, T] in {-1, 0, 1}
    return 0.5 + 0.5 * torch.where(present.bool(), side, -side)
