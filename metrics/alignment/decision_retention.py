"""Of the images judged rightly, how many are still judged rightly after a change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from ambench.core import Better, Scores, Trial, Values

from ._robustness import Change, Robustness, mean_over
from ._threshold import Thresholded


@dataclass(frozen=True)
class DecisionRetention(Robustness[Scores], Thresholded):
    """Share of changes after which `score > threshold` is still right, where it was right before; up, [0, 1].

    Ours, after Lysnaes-Larsen et al. 2025; the threshold is that of `normal_accuracy`. Undefined for pairs judged
    wrongly, and those that no change keeps. A score on the threshold is a coin, .5 and flat. Whoever always says no
    keeps every decision: read it beside `normal_accuracy`.

    >>> import torch
    >>> from ambench.core import Case, Concepts, Ledger, Truth
    >>> truth = Truth(torch.tensor([[True], [False]]))
    >>> case = Case(torch.rand(2, 3, 8, 8), torch.tensor([[0], [0]]), truth, ("a", "b"))
    >>> before, after = Scores(torch.tensor([[1.0], [0.0]])), Scores(torch.tensor([[0.9], [0.8]]))
    >>> metric = DecisionRetention(augmentations=("noise",))
    >>> learned = metric.calibrate(Ledger(case.ids, case.targets, before.scores, truth))
    >>> concepts = Concepts(("ring",), case.images, truth.present)
    >>> trial = Trial(None, case, before, concepts, None, None, lambda images, case: after, calibration=learned)
    >>> metric.score(trial).values.tolist()
    [[1.0], [0.0]]
    """

    reads: ClassVar[type[Scores]] = Scores
    better: ClassVar[Better] = "higher"
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    chance: ClassVar[float | None] = 0.5
    needs: ClassVar[tuple[str, ...]] = ("present",)

    def score(self, trial: Trial[Scores]) -> Values | None:
        """Return one value for each pair [B, T]; None where nothing was there to calibrate on."""
        before = self.judge(trial, trial.explanation)
        if before is None:
            return None

        def still_right(change: Change) -> Tensor:
            after = self.judge(trial, change.answer)
            return before.values if after is None else after.values

        right, kept = mean_over(self.changes(trial), still_right)
        return Values.of(right, before.defined & (before.values > 0) & kept, before.flat)
