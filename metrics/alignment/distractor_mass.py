"""The share of the positive evidence that lies on things which are certainly not the concept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ambench.core import Heatmaps, Metric, Trial, Values

from ._located import located
from .energy_inside import share_of_evidence


@dataclass(frozen=True)
class DistractorMass(Metric[Heatmaps]):
    """The sum of positive values on distractors over that of all positive values.

    Down, [0, 1]; a flat map, or one without positive values, scores the distractors' share of the pixels. On images that
    show the concept and a distractor; a pixel of the concept is never a distractor's.

    >>> DistractorMass().better
    'lower'
    """

    reads = Heatmaps
    better = "lower"
    range = (0.0, 1.0)
    needs = ("masks", "distractors")
    citation: ClassVar[str] = "ambench"

    def score(self, trial: Trial[Heatmaps]) -> Values | None:
        """Return one share for each image and concept [B, T]."""
        pairs, distractors = located(trial), trial.case.truth.distractors
        if pairs is None or distractors is None:
            return None
        region = distractors.to(pairs.maps.device).flatten(1)[:, None] & ~pairs.inside  # [B, T, P]
        share, silent = share_of_evidence(pairs.maps, region)
        return Values.of(share, pairs.defined & region.any(2), pairs.flat | silent)
