"""GPU memory that explaining needs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch

from ambench.core import Better, Cost, Metric, Trial, Values


@dataclass(frozen=True)
class PeakGpuMib(Metric[Cost]):
    """How far the CUDA allocator's peak rose above its start, in MiB; down.

    >>> cost = Cost(2.5, torch.tensor([0.25, 0.5]), model_passes=2.0, peak_rss_mib=30.0, peak_gpu_mib=8.0)
    >>> trial = Trial(model=None, case=None, explanation=cost, concepts=None, randomness=None, units=None)
    >>> PeakGpuMib().score(trial).values.tolist()
    [[8.0]]
    """

    reads: ClassVar[type[Cost]] = Cost
    better: ClassVar[Better] = "lower"
    range: ClassVar[tuple[float, float]] = (0.0, math.inf)

    def score(self, trial: Trial[Cost]) -> Values | None:
        """Return one value [1, 1] in MiB, None where there is no GPU."""
        peak = trial.explanation.peak_gpu_mib
        return None if peak is None else Values.of(torch.tensor([[peak]], dtype=torch.float64))
