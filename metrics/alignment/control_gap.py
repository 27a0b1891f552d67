"""What a probe has that a probe without the concept lacks (after Lysnaes-Larsen et al. 2025)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from ambench.core import Better, Heatmaps, Ledger, Metric, Trial, Values

from .hard_accuracy import HardAccuracy
from .iou import Iou
from .normal_accuracy import NormalAccuracy

_METRICS: dict[str, type[Metric[Any]]] = {"hard_accuracy": HardAccuracy, "iou": Iou, "normal_accuracy": NormalAccuracy}


@dataclass(frozen=True)
class ControlGap(Metric[Heatmaps]):
    """A metric of the probe less that of its negative control, image by image; up, [-1, 1], no difference 0.

    `of` is the metric, with thresholds of each probe's own; `control` is `context_cav`, learnt from the concept's
    context, or `fp_cav`, learnt from what fools the probe, settings alike. In few dimensions `fp_cav` is nearly the
    probe itself and the gap 0 by construction: read `control_cosine` beside it, and `context_cav` first. The gap of
    normal accuracy is small by design. A concept that the control has no direction for is left out.

    >>> ControlGap(of="iou", control="fp_cav").inner
    Iou(share=None)
    >>> ControlGap().better
    'higher'
    """

    reads: ClassVar[type[Heatmaps]] = Heatmaps
    families: ClassVar[tuple[str, ...]] = ("probes",)
    standard: ClassVar[bool] = False
    better: ClassVar[Better] = "higher"
    range: ClassVar[tuple[float, float]] = (-1.0, 1.0)
    chance: ClassVar[float | None] = 0.0
    needs: ClassVar[tuple[str, ...]] = ("present", "masks", "hard")
    citation: ClassVar[str] = "Lysnaes-Larsen et al. 2025, arXiv 2511.04312"

    of: Literal["hard_accuracy", "iou", "normal_accuracy"] = "hard_accuracy"
    control: Literal["context_cav", "fp_cav"] = "context_cav"

    @property
    def inner(self) -> Metric[Any]:
        """The metric whose difference it is."""
        return _METRICS[self.of]()

    def observe(self, trial: Trial[Heatmaps]) -> Tensor | None:
        """Return what the metric remembers of both answers [B, T, …, 2]."""
        pair = [self.inner.observe(one) for one in (trial, self._rivals(trial))]
        known = [seen for seen in pair if seen is not None]
        return torch.stack(known, -1) if len(known) == 2 else None

    def calibrate(self, ledger: Ledger) -> tuple[Any, Any] | None:
        """Return what the metric learns for the probe, and for its control."""
        both = ledger.observations
        if both is None:
            return None
        mine, other = (self.inner.calibrate(replace(ledger, observations=both[..., side])) for side in (0, 1))
        return mine, other

    def score(self, trial: Trial[Heatmaps]) -> Values | None:
        """Return the difference for each pair [B, T]; Skipped with the control's reason where it cannot be had."""
        if trial.rival is None or trial.calibration is None:
            return None
        missing = trial.rival(self.control).directions.missing
        mine = self.inner.score(replace(trial, calibration=trial.calibration[0]))
        other = self.inner.score(replace(self._rivals(trial), calibration=trial.calibration[1]))
        if mine is None or other is None:
            return None
        gone = torch.isin(trial.case.targets, torch.tensor(sorted(missing), device=trial.case.targets.device))
        defined = mine.defined & other.defined & ~gone
        return Values.of(mine.values - other.values, defined, mine.flat | other.flat)

    def finish(self, values: Values, ledger: Ledger) -> Values:
        """Return the difference as the metric weighs its images: what it does is linear in the values."""
        return self.inner.finish(values, ledger)

    def _rivals(self, trial: Trial[Heatmaps]) -> Trial[Heatmaps]:
        """The control's trial on the same case."""
        return trial.share(("rival", self.control), lambda: _other(trial, self.control))  # type: ignore[no-any-return]


def _other(trial: Trial[Heatmaps], control: str) -> Trial[Heatmaps]:
    if trial.rival is None:
        return trial
    rival = trial.rival(control)
    answer = rival.localise(trial.case.images, trial.case)
    return replace(trial, explanation=answer, localise=rival.localise, shared={})  # type: ignore[arg-type]
