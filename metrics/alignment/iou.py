"""Intersection over union of the mask with the map cut at a level fixed beforehand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ambench.core import Heatmaps, Ledger, Metric, Trial, Values

from ._by_concept import learn, look_up
from ._located import Located, located

LEVELS = (0.005, 0.01, 0.02, 0.05, 0.10, 0.15, 0.20, 0.30, 0.50)  # shares of the pixels that are kept


@dataclass(frozen=True)
class Iou(Metric[Heatmaps]):
    """How well the map's top pixels overlap the mask; how many are kept is chosen per concept on the calibration part.

    Up, [0, 1]. Of nine shares, the one with the best mean overlap on calibration images is kept, frozen before any test
    image is seen. Pixels tied at the cut count in expectation: as if drawn among them.

    >>> import torch
    >>> maps, mask = torch.tensor([[[4.0, 3.0, 2.0, 1.0]]]), torch.tensor([[[True, False, True, False]]])
    >>> overlap(maps, mask, 2).item()  # one of the two kept is inside: 1 / (2 + 2 - 1)
    0.3333333333333333
    """

    reads = Heatmaps
    better = "higher"
    range = (0.0, 1.0)
    needs = ("masks",)
    citation = "Bau et al. 2017, arXiv 1704.05796 (cut per image: ours)"

    def observe(self, trial: Trial[Heatmaps]) -> Tensor | None:
        """Return the overlap at each of the nine levels [B, T, 9], NaN where the concept is not there."""
        pairs = located(trial)
        if pairs is None:
            return None
        found = torch.stack([_at(pairs, level) for level in LEVELS], 2)
        return found.masked_fill(~pairs.defined[:, :, None], torch.nan)

    def calibrate(self, ledger: Ledger) -> Any:
        """Return the best level's share for each concept [K], NaN where no calibration image shows it."""
        return None if ledger.observations is None else learn(ledger, ledger.observations, _best_level)

    def score(self, trial: Trial[Heatmaps]) -> Values | None:
        """Return one overlap for each image and concept [B, T]; None if calibration had no masks."""
        pairs = located(trial)
        if pairs is None or trial.calibration is None:
            return None
        shares = look_up(trial.calibration, trial.case.targets).to(pairs.maps.device)  # [B, T]
        values = torch.zeros_like(shares)
        for level in LEVELS:
            values = torch.where(shares == level, _at(pairs, level), values)
        return Values.of(values, pairs.defined & ~shares.isnan(), pairs.flat)


def overlap(maps: Tensor, inside: Tensor, kept: int) -> Tensor:
    """Return the intersection over union [...] of the `kept` highest pixels of maps [..., P] with masks [..., P]."""
    cut = maps.topk(kept, -1).values[..., -1:]
    above, tied = maps > cut, maps == cut
    left = kept - above.sum(-1)
    shared = (above & inside).sum(-1) + left * (tied & inside).sum(-1).double() / tied.sum(-1)
    return shared / (kept + inside.sum(-1) - shared)


def _at(pairs: Located, share: float) -> Tensor:
    return overlap(pairs.maps, pairs.inside, max(1, round(share * pairs.maps.shape[2])))


def _best_level(observations: Tensor, present: Tensor) -> float:
    known = observations[~observations[:, 0].isnan()]
    return LEVELS[int(known.mean(0).argmax())] if len(known) else float("nan")
