"""Arithmetic that explaining needs, in forwards of the model."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch

from ambench.core import Better, Cost, Metric, Trial, Values


@dataclass(frozen=True)
class ModelPasses(Metric[Cost]):
    """Floating-point operations of an explanation over those of one forward of the same images; down; deterministic.

    A forward is 1, a gradient to the pixels 2, occlusion the number of windows and one more.

    >>> cost = Cost(2.5, torch.tensor([0.25, 0.5]), model_passes=2.0, peak_rss_mib=30.0, peak_gpu_mib=8.0)
    >>> trial = Trial(model=None, case=None, explanation=cost, concepts=None, randomness=None, units=None)
    >>> ModelPasses().score(trial).values.tolist()
    [[2.0]]
    """

    reads: ClassVar[type[Cost]] = Cost
    better: ClassVar[Better] = "lower"
    range: ClassVar[tuple[float, float]] = (0.0, math.inf)

    def score(self, trial: Trial[Cost]) -> Values | None:
        """Return one value [1, 1], None for a network without countable operations."""
        passes = trial.explanation.model_passes
        return None if passes is None else Values.of(torch.tensor([[passes]], dtype=torch.float64))
