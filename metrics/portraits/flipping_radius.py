"""How small a change makes the model answer with another concept (Madry et al. 2018)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch

from ambench.core import Better, Metric, Portraits, Trial, Values


@dataclass(frozen=True)
class FlippingRadius(Metric[Portraits]):
    """The smallest change of an `adversarial` portrait that flips the answer, in steps of 8-bit pixels; down, above 0.

    It is the smallest of the radii tried; a photograph that none of them flips counts as twice the largest, and as
    without answer. Of another method's portraits there is nothing to say.

    >>> from ambench import toy
    >>> from ambench.core import Case, Randomness, Truth
    >>> details = {"flipping_radius": torch.tensor([4.0, -1.0]), "radii": torch.tensor([4.0, 8.0])}
    >>> images = torch.zeros(2, 3, 16, 16)
    >>> portraits = Portraits(images, torch.zeros(2).long(), torch.ones(2).bool(), torch.zeros(2, 1), details=details)
    >>> case = Case(images, torch.zeros(2, 1).long(), Truth(torch.ones(2, 1).bool()), ("red/0", "red/1"))
    >>> trial = Trial(toy.network(), case, portraits, toy.Squares().concepts("fit"), Randomness((0,)), torch.arange(3))
    >>> FlippingRadius().score(trial).values.flatten().tolist()
    [4.0, 16.0]
    """

    reads: ClassVar[type[Portraits]] = Portraits
    better: ClassVar[Better] = "lower"
    range: ClassVar[tuple[float, float]] = (0.0, math.inf)
    citation: ClassVar[str] = "Madry et al. 2018, arXiv 1706.06083"
    families: ClassVar[tuple[str, ...]] = ("synthesis",)
    standard: ClassVar[bool] = False

    def score(self, trial: Trial[Portraits]) -> Values | None:
        """Return one value for each photograph [P, 1], None for portraits without radii."""
        details = trial.explanation.details
        if "flipping_radius" not in details:
            return None
        found = details["flipping_radius"].double()
        unmoved = found < 0
        farthest = float(details["radii"].max())
        values = torch.where(unmoved, 2 * farthest, found)
        return Values.of(values[:, None], flat=unmoved[:, None])
