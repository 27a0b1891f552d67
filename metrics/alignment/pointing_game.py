"""The pointing game: does the hottest pixel lie on the concept? (Zhang et al. 2016)"""

from __future__ import annotations

from dataclasses import dataclass

from ambench.core import Heatmaps, Metric, Trial, Values

from ._located import located


@dataclass(frozen=True)
class PointingGame(Metric[Heatmaps]):
    """The share of the map's tied maxima that lie inside the mask (arXiv 1608.00507, tolerance 0).

    Up, [0, 1]; a flat map scores the mask's share of the pixels.

    >>> import torch
    >>> from ambench.core import Case, Concepts, Truth
    >>> mask = torch.tensor([[[[True, True], [False, False]]]])
    >>> case = Case(torch.zeros(1, 1, 2, 2), torch.zeros(1, 1).long(), Truth(torch.tensor([[True]]), mask), ("a",))
    >>> maps = Heatmaps(torch.zeros(1, 1), torch.tensor([[[[3.0, 1.0], [3.0, 0.0]]]]))
    >>> PointingGame().score(Trial(None, case, maps, None, None, None)).values.item()
    0.5
    """

    reads = Heatmaps
    better = "higher"
    range = (0.0, 1.0)
    needs = ("masks",)
    citation = "Zhang et al. 2016, arXiv 1608.00507"

    def score(self, trial: Trial[Heatmaps]) -> Values | None:
        """Return one share for each image and concept [B, T]."""
        pairs = located(trial)
        if pairs is None:
            return None
        hottest = pairs.maps == pairs.maps.amax(2, keepdim=True)  # [B, T, P]
        share = (hottest & pairs.inside).sum(2) / hottest.sum(2)
        return Values.of(share, pairs.defined, pairs.flat)
