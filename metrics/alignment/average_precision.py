"""How pure the top-ranked pixels are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ambench.core import Better, Heatmaps, Metric, Trial, Values

from ._pixels import on_concepts
from ._ranks import ranking


@dataclass(frozen=True)
class AveragePrecision(Metric[Heatmaps]):
    """Precision at each of the map's values, weighted by the recall it adds; up, [0, 1].

    `sum_n (R_n - R_(n-1)) P_n` over distinct values, the map raw and signed. A flat map scores the mask's share of the
    pixels, a random one slightly more. Defined for images that show the concept, with a mask neither empty nor full.

    >>> import torch
    >>> from ambench.core import Case, Truth
    >>> ramp = torch.arange(16.0).view(1, 1, 4, 4)
    >>> truth = Truth(torch.tensor([[True]]), masks=(ramp == 15) | (ramp == 12))
    >>> case = Case(torch.zeros(1, 3, 4, 4), torch.tensor([[0]]), truth, ("a",))
    >>> trial = Trial(None, case, Heatmaps(torch.zeros(1, 1), ramp), None, None, None)
    >>> AveragePrecision().score(trial).values.item()  # (1/1 + 2/4) / 2
    0.75
    """

    reads: ClassVar[type[Heatmaps]] = Heatmaps
    better: ClassVar[Better] = "higher"
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    needs: ClassVar[tuple[str, ...]] = ("masks",)
    citation: ClassVar[str] = "Lysnaes-Larsen et al. 2025, arXiv 2511.04312"

    def score(self, trial: Trial[Heatmaps]) -> Values | None:
        """Return one value for each pair [B, T], None without masks."""
        pixels = on_concepts(trial)
        if pixels is None:
            return None
        order = ranking(trial, pixels)
        precision = order.down_to.double() / (order.last + 1)  # [R, P]
        return pixels.as_values((order.inside * precision).sum(1) / order.hits[:, -1])
