"""Whether a heatmap puts its evidence on the object's outline or inside it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ambench.core import Better, Heatmaps, Metric, Trial, Values

from ._evidence import on_outline


@dataclass(frozen=True)
class ShapeEvidence(Metric[Heatmaps]):
    """Positive evidence per pixel along the outline, against that and the inside's together; descriptive, [0, 1].

    Ours: o / (o + i), o on the band of 3 pixels of 64 to either side of the object's outline, i inside of it; .5 is
    even, and what a flat map scores. Thin objects (fewer than 20 pixels of 64 x 64 inside) are undefined. Negative
    values count for nothing. Ask it of a class (`cue_conflict:ask=shape`): a concept lies where it lies. Levels mean
    little on their own: methods that multiply by the input inherit its outline (read `input_magnitude` and `edges`
    beside them), maps of 8 x 8 cells cannot resolve the band, and levels differ between any two networks
    (`twin_detection`).

    >>> import torch
    >>> from ambench.core import Case, Truth
    >>> square = torch.zeros(1, 64, 64, dtype=torch.bool)
    >>> square[:, 16:48, 16:48] = True
    >>> truth = Truth(torch.ones(1, 1).bool(), object=square)
    >>> case = Case(torch.zeros(1, 3, 64, 64), torch.zeros(1, 1).long(), truth, ("a",))
    >>> maps = torch.ones(1, 1, 64, 64) + 2 * square  # three times as much on the object as beside it
    >>> trial = Trial(None, case, Heatmaps(torch.zeros(1, 1), maps), None, None, None)
    >>> round(ShapeEvidence().score(trial).values.item(), 3)  # o is (396 + 3 * 348) / 744, i is 3
    0.392
    """

    reads: ClassVar[type[Heatmaps]] = Heatmaps
    standard: ClassVar[bool] = False
    better: ClassVar[Better] = "neither"
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    chance: ClassVar[float | None] = 0.5
    needs: ClassVar[tuple[str, ...]] = ("object",)

    def score(self, trial: Trial[Heatmaps]) -> Values | None:
        """Return one value for each pair [B, T], None where the dataset does not know its objects."""
        return on_outline(trial, trial.explanation)
