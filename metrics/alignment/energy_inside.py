"""Share of the positive evidence that lies on the concept (Wang et al. 2020, arXiv 1910.01279)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ambench.core import Better, Heatmaps, Metric, Trial, Values

from ._evidence import evidence_inside
from ._pixels import on_concepts


@dataclass(frozen=True)
class EnergyInside(Metric[Heatmaps]):
    """Sum of the positive values inside the mask over the sum of all positive values; up, [0, 1].

    A map without positive values, like a flat one, scores the mask's share of the pixels. Adding a constant to a map
    changes the score. Defined for images that show the concept, with a mask neither empty nor full.

    >>> import torch
    >>> from ambench.core import Case, Truth
    >>> ramp = torch.arange(16.0).view(1, 1, 4, 4)
    >>> truth = Truth(torch.tensor([[True]]), masks=ramp == 15)
    >>> case = Case(torch.zeros(1, 3, 4, 4), torch.tensor([[0]]), truth, ("a",))
    >>> trial = Trial(None, case, Heatmaps(torch.zeros(1, 1), ramp - 12), None, None, None)
    >>> EnergyInside().score(trial).values.item()  # 3 / (1 + 2 + 3); what is negative counts for nothing
    0.5
    """

    reads: ClassVar[type[Heatmaps]] = Heatmaps
    better: ClassVar[Better] = "higher"
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    needs: ClassVar[tuple[str, ...]] = ("masks",)
    citation: ClassVar[str] = "Wang et al. 2020, arXiv 1910.01279"

    def score(self, trial: Trial[Heatmaps]) -> Values | None:
        """Return one value for each pair [B, T], None without masks."""
        pixels = on_concepts(trial)
        return None if pixels is None else pixels.as_values(*evidence_inside(pixels))
