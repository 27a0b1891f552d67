"""Pixels in order of their values, ties and all: no score may depend on which of two equal pixels is stored first."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ambench.core import Heatmaps, Trial
from ambench.correlation import ties

from ._pixels import Pixels


@dataclass(frozen=True, eq=False)
class Ranking:
    """The pixels of R maps, hottest first: hits [R, P] counts those inside the mask down to each place.

    first and last [R, P] are the places of the first and the last pixel with the same value.
    """

    hits: Tensor
    first: Tensor
    last: Tensor

    @property
    def inside(self) -> Tensor:
        """Whether each pixel is inside the mask [R, P], as 0 or 1."""
        return torch.diff(self.hits, dim=1, prepend=torch.zeros_like(self.hits[:, :1]))

    @property
    def above(self) -> Tensor:
        """How many pixels inside the mask are hotter than each place's value [R, P]."""
        before = self.hits.gather(1, (self.first - 1).clamp_min(0))
        return torch.where(self.first > 0, before, torch.zeros_like(before))

    @property
    def down_to(self) -> Tensor:
        """How many pixels inside the mask are as hot as each place's value, or hotter [R, P]."""
        return self.hits.gather(1, self.last)


def ranking(trial: Trial[Heatmaps], pixels: Pixels) -> Ranking:
    """Return the concepts' pixels in order, sorted once a case for all metrics that ask."""
    found: Ranking = trial.share("ranking of pixels", lambda: rank(pixels.values, pixels.inside))
    return found


def rank(values: Tensor, inside: Tensor) -> Ranking:
    """Return the ranking of values [R, P] with masks [R, P] bool."""
    ordered, order = values.sort(dim=1, descending=True)
    first, last = ties(ordered)
    return Ranking(inside.gather(1, order).cumsum(1), first, last)
