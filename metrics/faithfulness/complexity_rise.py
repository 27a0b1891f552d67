"""How much more complex a map becomes when the model knows nothing (Hedström et al. 2024)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch

from ambench.core import Better, Heatmaps, InputError, Metric, Trial, Values
from ambench.finite import refuse_broken

from ._order import constant
from ._randomised import compared, complexity, stages


@dataclass(frozen=True)
class ComplexityRise(Metric[Heatmaps]):
    """Rise of the map's entropy when all weights are random, relative to what it was; up, >= -1, blind to the model 0.

    The efficient parameter randomisation test (eMPRT). The entropy is that of a histogram of the signed map as it is,
    in 100 bins over the map's own range. A flat map has none, and scores 0. Networks, probes, portraits and what is
    left out are as with `randomisation`, whose last stage this is; `draws` networks, the first `limit` images.

    >>> from ambench import toy
    >>> case, model = next(iter(toy.Squares(count=2))), toy.network()
    >>> bright = Heatmaps(torch.zeros(2, 3), case.images.mean(1, keepdim=True).expand(-1, 3, -1, -1))
    >>> blind = Trial(model, case, bright, None, None, None, under=lambda model: lambda images, case: bright)
    >>> values = ComplexityRise().score(blind)
    >>> values.values[values.defined].unique().tolist()
    [0.0]
    """

    reads: ClassVar[type[Heatmaps]] = Heatmaps
    better: ClassVar[Better] = "higher"
    range: ClassVar[tuple[float, float]] = (-1.0, math.inf)
    chance: ClassVar[float | None] = 0.0
    needs: ClassVar[tuple[str, ...]] = ("present",)
    standard: ClassVar[bool] = False
    citation: ClassVar[str] = "Hedström et al. 2024, arXiv 2405.02383"

    draws: int = 3
    limit: int | None = 16

    def __post_init__(self) -> None:
        if self.draws < 1:
            raise InputError(f"at least 1 draw is wanted, not {self.draws}")

    def score(self, trial: Trial[Heatmaps]) -> Values | None:
        """Return the mean rise [B, T] of each pair asked."""
        maps = trial.explanation.values
        refuse_broken(trial, maps, "map")
        before = complexity(maps)
        total = torch.zeros_like(before)
        count = torch.zeros(len(maps), 1, dtype=torch.float64, device=maps.device)
        (every,) = stages(trial.model, trial.case.images, 1)
        for draw in range(self.draws):
            found = compared(trial, every, draw)
            total += torch.where(found.speaks[:, None], found.complexity - before, 0)
            count += found.speaks[:, None]
        flat = before == 0
        rise = total / count.clamp_min(1) / before.masked_fill(flat, 1)
        defined = trial.case.truth.present.bool() & (count > 0)
        return Values.of(rise.masked_fill(flat, 0), defined, flat | constant(maps))
