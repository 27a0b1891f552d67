"""How much a probe points where one points that has never seen the concept (Lysnaes-Larsen et al. 2025)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch

from ambench.core import Better, Directions, Metric, Trial, Values

from ._vectors import cosines


@dataclass(frozen=True)
class ControlCosine(Metric[Directions]):
    """Cosine of a probe's direction with its negative control's, settings alike; descriptive, [-1, 1].

    `control`: `fp_cav`, learnt from what fools the probe, or `context_cav`, learnt from the concept's context. A high
    cosine with `fp_cav` may only say that there are few dimensions: what a plane through <v, z> separates, v separates
    too. The source reports .62 on ResNet-50 (arXiv 2511.04312). A concept that the control has no direction for is
    left out.

    >>> ControlCosine().control
    'fp_cav'
    >>> cosines(torch.tensor([[1.0, 0.0]]), torch.tensor([[0.6, 0.8]])).item() > 0.59
    True
    """

    reads: ClassVar[type[Directions]] = Directions
    families: ClassVar[tuple[str, ...]] = ("probes",)
    standard: ClassVar[bool] = False
    better: ClassVar[Better] = "neither"
    range: ClassVar[tuple[float, float]] = (-1.0, 1.0)
    citation: ClassVar[str] = "Lysnaes-Larsen et al. 2025, arXiv 2511.04312"

    control: Literal["fp_cav", "context_cav"] = "fp_cav"

    def score(self, trial: Trial[Directions]) -> Values | None:
        """Return one value for each concept [1, K]; Skipped with the control's reason where it cannot be had."""
        if trial.rival is None:
            return None
        mine, other = trial.explanation.vectors, trial.rival(self.control).directions.vectors
        if mine.shape != other.shape:
            return None
        pair = mine.flatten(1).double(), other.flatten(1).to(mine.device).double()
        there = torch.tensor(
            [number not in trial.rival(self.control).directions.missing for number in range(len(mine))]
        )
        return Values.of(cosines(*pair)[None], there.to(mine.device)[None], ids=("cosine",))
