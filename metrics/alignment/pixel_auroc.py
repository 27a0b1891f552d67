"""Whether a concept's pixels are ranked above the others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ambench.core import Better, Heatmaps, Metric, Trial, Values

from ._pixels import on_concepts
from ._ranks import ranking


@dataclass(frozen=True)
class PixelAuroc(Metric[Heatmaps]):
    """Probability that a pixel of the concept has a higher value than another one, ties counting half; up, [0, 1].

    The map is read raw and signed; a flat one scores .5, and turning its sign round turns the score into 1 - score. It
    saturates for small objects: read it beside `average_precision`. Defined for images that show the concept, with a
    mask neither empty nor full.

    >>> import torch
    >>> from ambench.core import Case, Truth
    >>> ramp = torch.arange(16.0).view(1, 1, 4, 4)
    >>> truth = Truth(torch.tensor([[True]]), masks=(ramp == 15) | (ramp == 12))
    >>> case = Case(torch.zeros(1, 3, 4, 4), torch.tensor([[0]]), truth, ("a",))
    >>> trial = Trial(None, case, Heatmaps(torch.zeros(1, 1), ramp), None, None, None)
    >>> round(PixelAuroc().score(trial).values.item(), 4)  # (14 + 12) / (2 * 14)
    0.9286
    """

    reads: ClassVar[type[Heatmaps]] = Heatmaps
    better: ClassVar[Better] = "higher"
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    chance: ClassVar[float | None] = 0.5
    needs: ClassVar[tuple[str, ...]] = ("masks",)
    citation: ClassVar[str] = "Lysnaes-Larsen et al. 2025, arXiv 2511.04312"

    def score(self, trial: Trial[Heatmaps]) -> Values | None:
        """Return one value for each pair [B, T], None without masks."""
        pixels = on_concepts(trial)
        if pixels is None:
            return None
        order = ranking(trial, pixels)
        inside = order.hits[:, -1].double()  # [R]
        outside = order.hits.shape[1] - inside
        places = (order.inside * (order.first + order.last)).sum(1) / 2  # from 0, tied pixels share theirs
        outranked = places - inside * (inside - 1) / 2  # by how many others, summed over the concept's pixels
        return pixels.as_values(1 - outranked / (inside * outside))
