"""How far a map, cut at a level fixed beforehand, covers the concept (after Bau et al. 2017, arXiv 1704.05796)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ambench.by_concept import ByConcept
from ambench.core import Better, Heatmaps, InputError, Ledger, Metric, Trial, Values

from ._pixels import Pixels, on_concepts
from ._ranks import ranking

SHARES = (0.005, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5)


@dataclass(frozen=True)
class Iou(Metric[Heatmaps]):
    """Intersection over union of the mask and the hottest `share` of the pixels; up, [0, 1].

    `share` (None) is for each concept the one of nine with the best mean on the calibration part, never on the test
    part. Pixels that tie at the cut are taken in part, so that the value is what a fair choice among them gives on
    average in the intersection. Defined for images that show the concept, with a mask neither empty nor full.

    >>> from ambench.core import Case, Truth
    >>> ramp = torch.arange(16.0).view(1, 1, 4, 4)
    >>> truth = Truth(torch.tensor([[True]]), masks=ramp > 13)
    >>> case = Case(torch.zeros(1, 3, 4, 4), torch.tensor([[0]]), truth, ("a",))
    >>> trial = Trial(None, case, Heatmaps(torch.zeros(1, 1), ramp), None, None, None)
    >>> Iou(share=0.25).score(trial).values.item()  # 2 of the 4 hottest, and none missed
    0.5
    """

    reads: ClassVar[type[Heatmaps]] = Heatmaps
    better: ClassVar[Better] = "higher"
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    needs: ClassVar[tuple[str, ...]] = ("masks",)
    citation: ClassVar[str] = "Bau et al. 2017, arXiv 1704.05796"

    share: float | None = None

    def __post_init__(self) -> None:
        if self.share is not None and not 0 < self.share <= 1:
            raise InputError(f"share is a part of the pixels above 0 and at most 1, not {self.share}")

    def observe(self, trial: Trial[Heatmaps]) -> Tensor | None:
        """Return the value at each of the nine shares and whether there is one [B, T, 9 + 1]."""
        pixels = on_concepts(trial)
        if pixels is None:
            return None
        shares = torch.tensor(SHARES, dtype=torch.float64, device=pixels.values.device)
        seen = shares.new_zeros(*pixels.defined.shape, len(SHARES) + 1)
        seen[pixels.defined] = torch.nn.functional.pad(_overlap(trial, pixels, shares), (0, 1), value=1.0)
        return seen

    def calibrate(self, ledger: Ledger) -> ByConcept | None:
        """Return the best share for each concept; the smallest of equally good ones."""
        if ledger.observations is None:
            return None
        seen = ledger.observations  # [N, T, 9 + 1]
        return ByConcept.of(ledger.targets, lambda asked: _best(seen[asked & (seen[..., -1] > 0)]))

    def score(self, trial: Trial[Heatmaps]) -> Values | None:
        """Return one value for each pair [B, T]; None without masks, here or in the calibration part."""
        pixels = on_concepts(trial)
        chosen = self._shares(trial)
        if pixels is None or chosen is None:
            return None
        shares, known = chosen  # [B, T]
        values = pixels.as_values(_overlap(trial, pixels, shares[pixels.defined][:, None])[:, 0])
        return Values.of(values.values, values.defined & known, values.flat)

    def _shares(self, trial: Trial[Heatmaps]) -> tuple[Tensor, Tensor] | None:
        targets = trial.case.targets
        if self.share is not None:
            return torch.full_like(targets, self.share, dtype=torch.float64), torch.ones_like(targets, dtype=torch.bool)
        return None if trial.calibration is None else trial.calibration.at(targets)


def _best(seen: Tensor) -> float | None:
    return SHARES[int(seen[:, :-1].mean(0).argmax())] if len(seen) else None


def _overlap(trial: Trial[Heatmaps], pixels: Pixels, shares: Tensor) -> Tensor:
    """Return the values [R, Q] when the hottest shares [Q] or [R, Q] of the pixels are kept, at least one pixel."""
    order = ranking(trial, pixels)
    count = order.hits.shape[1]
    kept = (shares * count).round().clamp(1, count).long().expand(len(pixels.values), -1)  # [R, Q]
    cut = kept - 1
    first, last, above, down_to = (
        all_.gather(1, cut) for all_ in (order.first, order.last, order.above, order.down_to)
    )
    both = above + (kept - first) * (down_to - above).double() / (last + 1 - first)
    return both / (kept + order.hits[:, -1:] - both)
