"""Whether the score still tells the concept when its usual context is absent or misleads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ambench.core import Better, Ledger, Scores, Trial, Values

from ._balance import balanced
from ._threshold import Thresholded


@dataclass(frozen=True)
class HardAccuracy(Thresholded):
    """Mean of the accuracies on images with the concept but not its context, and the other way round; up, [0, 1].

    Ours, after Lysnaes-Larsen et al. 2025: exact, from a dataset that knows where context and concept disagree. The
    threshold is that of `normal_accuracy`. Whoever reads the concept alone scores 1, the context alone 0, a coin .5;
    a value below .5 means that the context decides. Fewer than 20 images of either kind make a shaky number: see its n.
    Each pair's value is the score plus its own pull on it: their plain mean is the score, and one value may exceed 1.

    >>> import torch
    >>> from ambench.core import Case, Truth
    >>> present, hard = torch.tensor([[1], [1], [0], [0]]).bool(), torch.tensor([[0], [1], [0], [1]]).bool()
    >>> case = Case(torch.zeros(4, 3, 4, 4), torch.zeros(4, 1).long(), Truth(present, hard=hard), ("a", "b", "c", "d"))
    >>> context = Scores((present ^ hard).float())
    >>> ledger, metric = Ledger(case.ids, case.targets, context.scores, case.truth), HardAccuracy()
    >>> easy = Ledger(case.ids[::2], case.targets[::2], context.scores[::2], Truth(present[::2]))
    >>> trial = Trial(None, case, context, None, None, None, calibration=metric.calibrate(easy))
    >>> values = metric.finish(metric.score(trial), ledger)
    >>> values.values[values.defined].tolist()
    [0.0, 0.0]
    """

    reads: ClassVar[type[Scores]] = Scores
    better: ClassVar[Better] = "higher"
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    chance: ClassVar[float | None] = 0.5
    needs: ClassVar[tuple[str, ...]] = ("present", "hard")
    citation: ClassVar[str] = "Lysnaes-Larsen et al. 2025, arXiv 2511.04312"

    def score(self, trial: Trial[Scores]) -> Values | None:
        """Return 1, .5 or 0 for each hard pair [B, T]; None where the dataset does not know which are."""
        hard, judged = trial.case.truth.hard, self.judge(trial, trial.explanation)
        if hard is None or judged is None:
            return None
        return Values.of(judged.values, judged.defined & hard.bool(), judged.flat)

    def finish(self, values: Values, ledger: Ledger) -> Values:
        """Return the accuracy plus each image's own pull on it."""
        return balanced(values, ledger)
