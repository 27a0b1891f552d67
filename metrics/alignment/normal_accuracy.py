"""Whether the score tells images with a concept from images without, on data like the examples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ambench.core import Better, Ledger, Scores, Trial, Values

from ._balance import balanced
from ._threshold import Thresholded


@dataclass(frozen=True)
class NormalAccuracy(Thresholded):
    """Balanced accuracy (TPR + TNR) / 2 of `score > threshold`; up, [0, 1], chance .5.

    The threshold of each concept is fixed on the calibration part; a score on it counts one half and is called flat.
    Where the dataset tells how often a pair would occur among the examples (`Truth.weight`), both rates are weighted
    means, so that the test part stands for data like those. Each pair's value is the accuracy plus its pull on it:
    their plain mean is the balanced accuracy, and one value may exceed 1. A concept with one class only is undefined.

    It is the number that misleads, where a concept comes with a context: read it beside `hard_accuracy`.

    >>> import torch
    >>> from ambench.core import Case, Truth
    >>> truth = Truth(torch.tensor([[True], [True], [True], [False]]))
    >>> case = Case(torch.zeros(4, 3, 4, 4), torch.zeros(4, 1).long(), truth, ("a", "b", "c", "d"))
    >>> answer = Scores(torch.tensor([[0.9], [0.8], [0.1], [0.4]]))
    >>> ledger, metric = Ledger(case.ids, case.targets, answer.scores, truth), NormalAccuracy()
    >>> trial = Trial(None, case, answer, None, None, None, calibration=metric.calibrate(ledger))
    >>> values = metric.finish(metric.score(trial), ledger)
    >>> round(values.values.mean().item(), 4)  # (2/3 + 1) / 2
    0.8333
    """

    reads: ClassVar[type[Scores]] = Scores
    better: ClassVar[Better] = "higher"
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    chance: ClassVar[float | None] = 0.5
    needs: ClassVar[tuple[str, ...]] = ("present",)
    citation: ClassVar[str] = "Lysnaes-Larsen et al. 2025, arXiv 2511.04312"

    def score(self, trial: Trial[Scores]) -> Values | None:
        """Return 1, .5 or 0 for each pair [B, T]; None where nothing was there to calibrate on."""
        return self.judge(trial, trial.explanation)

    def finish(self, values: Values, ledger: Ledger) -> Values:
        """Return the accuracy plus each image's own pull on it."""
        return balanced(values, ledger, ledger.truth.weight)
