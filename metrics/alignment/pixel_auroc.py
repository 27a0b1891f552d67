"""Area under the ROC curve over pixels: are the concept's pixels ranked above the others?"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ambench.core import Heatmaps, Metric, Trial, Values

from ._located import located


@dataclass(frozen=True)
class PixelAuroc(Metric[Heatmaps]):
    """The chance that a pixel of the concept has a higher value than one outside, ties counting half.

    Up, [0, 1], flat map .5; on the signed map of each image that shows the concept. Crude filters reach .9 on small
    objects: read average_precision beside it.

    >>> from ambench.core import Case, Concepts, Truth
    >>> mask = torch.tensor([[[[True, True], [False, False]]]])
    >>> case = Case(torch.zeros(1, 1, 2, 2), torch.zeros(1, 1).long(), Truth(torch.tensor([[True]]), mask), ("a",))
    >>> maps = Heatmaps(torch.zeros(1, 1), torch.tensor([[[[4.0, 2.0], [3.0, 1.0]]]]))
    >>> PixelAuroc().score(Trial(None, case, maps, None, None, None)).values.item()
    0.75
    """

    reads = Heatmaps
    better = "higher"
    range = (0.0, 1.0)
    chance = 0.5
    needs = ("masks",)
    citation = "rank-sum statistic: Mann and Whitney 1947"

    def score(self, trial: Trial[Heatmaps]) -> Values | None:
        """Return one area for each image and concept [B, T]."""
        pairs = located(trial)
        if pairs is None:
            return None
        count = pairs.inside.sum(2).double()  # [B, T]
        rank_sum = (middle_ranks(pairs.maps) * pairs.inside).sum(2)
        others = pairs.maps.shape[2] - count
        area = (rank_sum - count * (count + 1) / 2) / (count * others).clamp_min(1)
        return Values.of(area, pairs.defined, pairs.flat)


def middle_ranks(values: Tensor) -> Tensor:
    """Return the ranks [..., P] from 1, equal values sharing the mean of the ranks they occupy.

    >>> middle_ranks(torch.tensor([3.0, 1.0, 3.0])).tolist()
    [2.5, 1.0, 2.5]
    """
    ordered = values.sort(-1).values.contiguous()
    below = torch.searchsorted(ordered, values.contiguous())
    up_to = torch.searchsorted(ordered, values.contiguous(), right=True)
    return (below + up_to + 1).double() / 2
