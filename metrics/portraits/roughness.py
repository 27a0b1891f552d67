"""How far a portrait of series is from being as rough as the data (ambench)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from ambench.core import Better, Metric, Portraits, Trial, Values

from ._series import moving, series


@dataclass(frozen=True)
class Roughness(Metric[Portraits]):
    """Factors of two between the mean step of a portrait and that of the data; down, >= 0, 0 for one as rough.

    `|log2(r / r_data)|`, r the mean over time and channels of |x_{t+1} - x_t|, r_data its mean over the method's
    examples; twice as rough and half as rough both score 1. A constant portrait, or data without any step, is
    undefined; a dead portrait is judged as uniform noise would be. Of series only.

    >>> import torch
    >>> from ambench.core import Case, Concepts, Randomness, Truth
    >>> images = torch.tensor([[[0.0, 0.1, 0.2]], [[0.0, 0.4, 0.0]]])  # mean steps .1 and .4
    >>> concepts = Concepts(("a",), torch.tensor([[[0.0, 0.2, 0.0]], [[0.5, 0.3, 0.5]]]), torch.ones(2, 1).bool())
    >>> case = Case(images, torch.tensor([[0], [0]]), Truth(torch.ones(2, 1).bool()), ("a/0", "a/1"))
    >>> portraits = Portraits(images, torch.tensor([0, 0]), torch.ones(2).bool(), torch.zeros(2, 1))
    >>> trial = Trial(None, case, portraits, concepts, Randomness((0,)), torch.arange(1))
    >>> [round(value, 5) for value in Roughness().score(trial).values[:, 0].tolist()]
    [1.0, 1.0]
    """

    reads: ClassVar[type[Portraits]] = Portraits
    families: ClassVar[tuple[str, ...]] = ("synthesis",)
    standard: ClassVar[bool] = False
    better: ClassVar[Better] = "lower"
    range: ClassVar[tuple[float, float]] = (0.0, math.inf)

    def score(self, trial: Trial[Portraits]) -> Values | None:
        """Return one value for each portrait [P, 1], None without natural series; Skipped for pictures."""
        made, natural = series(trial, "roughness")
        if not len(natural):
            return None
        own, usual = _mean_step(made), _mean_step(natural).mean()
        defined = moving(made) & moving(natural).any()
        octaves = (own.clamp_min(1e-300) / usual.clamp_min(1e-300)).log2().abs()
        return Values.of(octaves[:, None], defined[:, None], ~trial.explanation.alive[:, None])


def _mean_step(series: Tensor) -> Tensor:
    """Return the mean size of a step [N] of series [N, C, T]."""
    return series.diff(dim=2).abs().mean((1, 2))
