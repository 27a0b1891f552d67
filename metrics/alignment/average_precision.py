"""Average precision over pixels: how pure are the top-ranked ones?"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ambench.core import Heatmaps, Metric, Trial, Values

from ._located import located


@dataclass(frozen=True)
class AveragePrecision(Metric[Heatmaps]):
    """Precision averaged over the recall gained at each distinct value of the map, from the highest down.

    Up, [0, 1]; a flat map scores the mask's share of the pixels. On the signed map of each image with the concept.

    >>> from ambench.core import Case, Concepts, Truth
    >>> mask = torch.tensor([[[[True, True], [False, False]]]])
    >>> case = Case(torch.zeros(1, 1, 2, 2), torch.zeros(1, 1).long(), Truth(torch.tensor([[True]]), mask), ("a",))
    >>> maps = Heatmaps(torch.zeros(1, 1), torch.tensor([[[[4.0, 2.0], [3.0, 1.0]]]]))
    >>> round(AveragePrecision().score(Trial(None, case, maps, None, None, None)).values.item(), 4)  # (1 + 2/3) / 2
    0.8333
    """

    reads = Heatmaps
    better = "higher"
    range = (0.0, 1.0)
    needs = ("masks",)
    citation = "Buckley and Voorhees 2000; ties as in scikit-learn"

    def score(self, trial: Trial[Heatmaps]) -> Values | None:
        """Return one average precision for each image and concept [B, T]."""
        pairs = located(trial)
        if pairs is None:
            return None
        return Values.of(average_precision(pairs.maps, pairs.inside), pairs.defined, pairs.flat)


def average_precision(values: Tensor, inside: Tensor) -> Tensor:
    """Return the average precision [...] of values [..., P] for the pixels inside [..., P]; 0 where there are none."""
    ordered, order = values.sort(-1, descending=True)
    found = inside.gather(-1, order).double()
    places = torch.arange(1, values.shape[-1] + 1, device=values.device)
    changes = ordered.diff(dim=-1) != 0
    last = torch.cat([changes, torch.ones_like(changes[..., :1])], -1)  # of each run of equal values
    beyond = torch.where(last, places - 1, values.shape[-1]).flip(-1).cummin(-1).values.flip(-1)  # its end
    precision = (found.cumsum(-1) / places).gather(-1, beyond)
    return (found * precision).sum(-1) / found.sum(-1).clamp_min(1)
