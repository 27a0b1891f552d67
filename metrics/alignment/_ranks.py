"""Pixels in order of their values, ties and all: no score may depend on which of two equal pixels is stored first."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ambench.core import Heatmaps, Trial

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
    first, last = _ties(ordered)
    return Ranking(inside.gather(1, order).cumsum(1), first, last)


def mid_ranks(values: Tensor) -> Tensor:
    """Return the ranks of values [R, P] from 1 up, float64; equal ones share the mean of the places they take.

    >>> mid_ranks(torch.tensor([[5.0, 7.0, 5.0]])).tolist()
    [[1.5, 3.0, 1.5]]
    """
    ordered, order = values.sort(dim=1)
    first, last = _ties(ordered)
    ranks = (first + last).double() / 2 + 1
    return torch.empty_like(ranks).scatter(1, order, ranks)


def _ties(ordered: Tensor) -> tuple[Tensor, Tensor]:
    """Return the places of the first and the last value equal to each of sorted ones [R, P]."""
    count = ordered.shape[1]
    place = torch.arange(count, device=ordered.device).expand_as(ordered)
    differs = ordered[:, 1:] != ordered[:, :-1]
    starts, ends = (torch.nn.functional.pad(differs, side, value=True) for side in ((1, 0), (0, 1)))
    first = torch.where(starts, place, 0).cummax(1).values
    last = torch.where(ends, place, count - 1).flip(1).cummin(1).values.flip(1)
    return first, last
