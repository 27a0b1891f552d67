"""Whether the hottest pixel lies on the concept (Zhang et al. 2016, arXiv 1608.00507)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from scipy.ndimage import distance_transform_edt
from torch import Tensor

from ambench.core import Better, Heatmaps, InputError, Metric, Trial, Values

from ._pixels import Pixels, on_concepts


@dataclass(frozen=True)
class PointingGame(Metric[Heatmaps]):
    """1 where the map's maximum is inside the mask, 0 elsewhere, tied maxima sharing; up, [0, 1].

    A hit within `tolerance_pixels` of the mask counts too (0 here; the source allowed 15). A flat map scores the share
    of the pixels that count. Defined for images that show the concept, with a mask neither empty nor full.

    >>> from ambench.core import Case, Truth
    >>> ramp = torch.arange(16.0).view(1, 1, 4, 4)
    >>> truth = Truth(torch.tensor([[True]]), masks=ramp == 15)
    >>> case = Case(torch.zeros(1, 3, 4, 4), torch.tensor([[0]]), truth, ("a",))
    >>> trial = Trial(None, case, Heatmaps(torch.zeros(1, 1), ramp.clamp(max=12)), None, None, None)
    >>> PointingGame().score(trial).values.item(), PointingGame(tolerance_pixels=2).score(trial).values.item()
    (0.25, 0.75)
    """

    reads: ClassVar[type[Heatmaps]] = Heatmaps
    better: ClassVar[Better] = "higher"
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    needs: ClassVar[tuple[str, ...]] = ("masks",)
    citation: ClassVar[str] = "Zhang et al. 2016, arXiv 1608.00507"

    tolerance_pixels: float = 0.0

    def __post_init__(self) -> None:
        if self.tolerance_pixels < 0:
            raise InputError(f"tolerance_pixels is a distance from 0 up, not {self.tolerance_pixels}")

    def score(self, trial: Trial[Heatmaps]) -> Values | None:
        """Return one value for each pair [B, T], None without masks."""
        pixels = on_concepts(trial)
        if pixels is None:
            return None
        hottest = pixels.values == pixels.values.amax(1, keepdim=True)  # [R, P]
        hits = hottest & self._counting(pixels)
        return pixels.as_values(hits.sum(1).double() / hottest.sum(1))

    def _counting(self, pixels: Pixels) -> Tensor:
        """Return the pixels [R, P] bool on which a maximum is a hit."""
        if not self.tolerance_pixels:
            return pixels.inside
        away = [distance_transform_edt(~mask) for mask in pixels.inside.view(-1, *pixels.extent).cpu().numpy()]
        near = [torch.from_numpy(distance).flatten() <= self.tolerance_pixels for distance in away]
        return torch.stack(near).to(pixels.inside.device) if near else pixels.inside
