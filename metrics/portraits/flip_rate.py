"""Whether a change too small to be seen makes the model answer with another concept (Madry et al. 2018)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from ambench.core import Better, InputError, Metric, Portraits, Trial, Values


@dataclass(frozen=True)
class FlipRate(Metric[Portraits]):
    """Share of photographs that an `adversarial` portrait's change makes the model take for the concept; up, [0, 1].

    `radius`: of the radii tried, in steps of 8-bit pixels (None: the largest). `rounded`: after rounding to 8 bits, as
    a file would hold it. Photographs that the model took for the concept anyway were left out beforehand. Of another
    method's portraits there is nothing to say.

    >>> from ambench import toy
    >>> from ambench.core import Case, Randomness, Truth
    >>> flips = torch.tensor([[False, True], [False, False]])
    >>> images = torch.zeros(2, 3, 16, 16)
    >>> details = {"flips": flips, "flips_rounded": flips, "radii": torch.tensor([4.0, 8.0])}
    >>> portraits = Portraits(images, torch.zeros(2).long(), torch.ones(2).bool(), torch.zeros(2, 1), details=details)
    >>> case = Case(images, torch.zeros(2, 1).long(), Truth(torch.ones(2, 1).bool()), ("red/0", "red/1"))
    >>> trial = Trial(toy.network(), case, portraits, toy.Squares().concepts("fit"), Randomness((0,)), torch.arange(3))
    >>> FlipRate().score(trial).values.flatten().tolist(), FlipRate(radius=4).score(trial).values.flatten().tolist()
    ([1.0, 0.0], [0.0, 0.0])
    """

    reads: ClassVar[type[Portraits]] = Portraits
    better: ClassVar[Better] = "higher"
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    chance: ClassVar[float | None] = 0.0
    citation: ClassVar[str] = "Madry et al. 2018, arXiv 1706.06083"
    families: ClassVar[tuple[str, ...]] = ("synthesis",)
    standard: ClassVar[bool] = False

    radius: float | None = None
    rounded: bool = False

    def score(self, trial: Trial[Portraits]) -> Values | None:
        """Return one value for each photograph [P, 1], None for portraits without flips; InputError: another radius."""
        details = trial.explanation.details
        if "flips" not in details:
            return None
        flips = details["flips_rounded" if self.rounded else "flips"]  # [P, R]
        return Values.of(flips[:, self._column(details["radii"].flatten())][:, None].double())

    def _column(self, radii: torch.Tensor) -> int:
        if self.radius is None:
            return len(radii) - 1
        near = (radii - self.radius).abs() < 1e-6
        if not near.any():
            tried = ", ".join(f"{radius:g}" for radius in radii.tolist())
            raise InputError(f"a radius of {self.radius:g} was not tried; {tried} were")
        return int(near.nonzero()[0])
