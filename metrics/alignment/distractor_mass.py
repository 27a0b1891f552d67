"""Share of the positive evidence that lies on what is certainly not the concept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ambench.core import Better, Heatmaps, Metric, Trial, Values

from ._evidence import evidence_inside
from ._pixels import on_distractors


@dataclass(frozen=True)
class DistractorMass(Metric[Heatmaps]):
    """Sum of the positive values on distractors over the sum of all positive values; down, [0, 1].

    Ours. Pixels of the concept are never distractors. A map without positive values, like a flat one, scores the
    distractors' share of the pixels. Defined for images that show the concept and a distractor.

    >>> import torch
    >>> from ambench.core import Case, Truth
    >>> ramp = torch.arange(16.0).view(1, 1, 4, 4)
    >>> truth = Truth(torch.tensor([[True]]), masks=ramp == 15, distractors=(ramp > 13)[:, 0])
    >>> case = Case(torch.zeros(1, 3, 4, 4), torch.tensor([[0]]), truth, ("a",))
    >>> trial = Trial(None, case, Heatmaps(torch.zeros(1, 1), ramp - 11), None, None, None)
    >>> round(DistractorMass().score(trial).values.item(), 4)  # 3 / (1 + 2 + 3 + 4)
    0.3
    """

    reads: ClassVar[type[Heatmaps]] = Heatmaps
    better: ClassVar[Better] = "lower"
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    needs: ClassVar[tuple[str, ...]] = ("distractors",)

    def score(self, trial: Trial[Heatmaps]) -> Values | None:
        """Return one value for each pair [B, T], None where no distractors are known."""
        pixels = on_distractors(trial)
        return None if pixels is None else pixels.as_values(*evidence_inside(pixels))
