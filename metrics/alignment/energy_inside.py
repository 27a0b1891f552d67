"""Energy-based pointing: the share of the positive evidence that lies on the concept (Wang et al. 2020)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ambench.core import Heatmaps, Metric, Trial, Values

from ._located import located


@dataclass(frozen=True)
class EnergyInside(Metric[Heatmaps]):
    """The sum of positive values inside the mask over that of all positive values (arXiv 1910.01279).

    Up, [0, 1]; a flat map, or one without positive values, scores the mask's share of the pixels.

    >>> from ambench.core import Case, Concepts, Truth
    >>> mask = torch.tensor([[[[True, True], [False, False]]]])
    >>> case = Case(torch.zeros(1, 1, 2, 2), torch.zeros(1, 1).long(), Truth(torch.tensor([[True]]), mask), ("a",))
    >>> maps = Heatmaps(torch.zeros(1, 1), torch.tensor([[[[3.0, -9.0], [1.0, 0.0]]]]))
    >>> EnergyInside().score(Trial(None, case, maps, None, None, None)).values.item()
    0.75
    """

    reads = Heatmaps
    better = "higher"
    range = (0.0, 1.0)
    needs = ("masks",)
    citation = "Wang et al. 2020, arXiv 1910.01279"

    def score(self, trial: Trial[Heatmaps]) -> Values | None:
        """Return one share for each image and concept [B, T]."""
        pairs = located(trial)
        if pairs is None:
            return None
        share, silent = share_of_evidence(pairs.maps, pairs.inside)
        return Values.of(share, pairs.defined, pairs.flat | silent)


def share_of_evidence(maps: Tensor, region: Tensor) -> tuple[Tensor, Tensor]:
    """Return the share of positive values in a region [...], its area where there are none, and where that was so."""
    evidence = maps.relu()
    total = evidence.sum(-1)
    silent = total == 0
    share = (evidence * region).sum(-1) / torch.where(silent, torch.ones_like(total), total)
    return torch.where(silent, region.double().mean(-1), share), silent
