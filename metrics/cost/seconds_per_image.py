"""Time to explain one image."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from ambench.core import Better, Cost, Metric, Trial, Values


@dataclass(frozen=True)
class SecondsPerImage(Metric[Cost]):
    """Wall seconds to explain one image, the warm-up left out; down; compare within one device only.

    >>> import torch
    >>> cost = Cost(2.5, torch.tensor([0.25, 0.5]), model_passes=2.0, peak_rss_mib=30.0, peak_gpu_mib=8.0)
    >>> trial = Trial(model=None, case=None, explanation=cost, concepts=None, randomness=None, units=None)
    >>> SecondsPerImage().score(trial).values.tolist()
    [[0.25], [0.5]]
    """

    reads: ClassVar[type[Cost]] = Cost
    better: ClassVar[Better] = "lower"
    range: ClassVar[tuple[float, float]] = (0.0, math.inf)

    def score(self, trial: Trial[Cost]) -> Values | None:
        """Return one value for each repeat [R, 1] in seconds."""
        return Values.of(trial.explanation.seconds_per_image[:, None])
