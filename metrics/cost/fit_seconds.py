"""Time to learn an explanation before any image is seen."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch

from ambench.core import Better, Cost, Metric, Trial, Values


@dataclass(frozen=True)
class FitSeconds(Metric[Cost]):
    """Seconds spent in synthesis or fitting: processor time on the CPU, wall time elsewhere; down, 0 for attribution.

    >>> cost = Cost(2.5, torch.tensor([0.25, 0.5]), model_passes=2.0, peak_rss_mib=30.0, peak_gpu_mib=8.0)
    >>> trial = Trial(model=None, case=None, explanation=cost, concepts=None, randomness=None, units=None)
    >>> FitSeconds().score(trial).values.tolist()
    [[2.5]]
    """

    reads: ClassVar[type[Cost]] = Cost
    better: ClassVar[Better] = "lower"
    range: ClassVar[tuple[float, float]] = (0.0, math.inf)

    def score(self, trial: Trial[Cost]) -> Values | None:
        """Return one value [1, 1] in seconds."""
        return Values.of(torch.tensor([[trial.explanation.fit_seconds]], dtype=torch.float64))
