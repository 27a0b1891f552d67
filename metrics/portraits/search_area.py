"""How soon a search without gradients got how far: the area under its best-so-far curve."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch

from ambench.core import Better, InputError, Metric, Portraits, Skipped, Trial, Values

from ._curves import curves


@dataclass(frozen=True)
class SearchArea(Metric[Portraits]):
    """Mean of the normalised best so far over the logarithm of evaluations, from the `first` counted on; up.

    The best logit so far is 0 at the mean of blind draws and 1 at the strongest natural image, the method's
    examples (`normalised_best` is its end). Every factor of ten of evaluations counts the same, so the area belongs to
    its budget: compare searches of one budget only. Before some hundred evaluations nothing has been learnt. Any real
    number; a unit whose strongest natural image is not above blind draws is undefined, a dead portrait scores 0.

    >>> from ambench import toy
    >>> from ambench.core import Case, Randomness, Truth
    >>> model, concepts = toy.network(), toy.Squares().concepts("fit")
    >>> natural, image = model.network(concepts.images)[:, 0].max(), concepts.images[:1]
    >>> details = {"blind_mean": natural[None] - 1, "in_logits": torch.tensor([True])}
    >>> curve = natural - torch.ones(1, 100)  # as good as blind draws …
    >>> curve[:, 9:] += 1  # … and from the tenth evaluation, the middle of a hundred, as the strongest natural image
    >>> portraits = Portraits(image, torch.tensor([0]), torch.tensor([True]), curve.detach(), details=details)
    >>> case = Case(image, torch.tensor([[0]]), Truth(torch.tensor([[True]])), ("red/0",))
    >>> trial = Trial(model, case, portraits, concepts, Randomness((0,)), torch.arange(3))
    >>> round(SearchArea(first=1).score(trial).values.item(), 5)
    0.5
    """

    reads: ClassVar[type[Portraits]] = Portraits
    families: ClassVar[tuple[str, ...]] = ("synthesis",)
    standard: ClassVar[bool] = False
    better: ClassVar[Better] = "higher"
    range: ClassVar[tuple[float, float]] = (-math.inf, math.inf)
    chance: ClassVar[float | None] = 0.0
    citation: ClassVar[str] = "Pospelov et al. 2024, arXiv 2401.10748"

    first: int = 100

    def __post_init__(self) -> None:
        if self.first < 1:
            raise InputError(f"search_area counts evaluations from 1 on, not from {self.first}")

    def score(self, trial: Trial[Portraits]) -> Values | None:
        """Return one value for each portrait [P, 1], None without natural images; Skipped: no search, or too short."""
        found = curves(trial)
        if found is None:
            return None
        count = found.best.shape[1]
        if count <= self.first:
            raise Skipped(f"{count} evaluations are no curve from evaluation {self.first} on")
        evaluations = torch.arange(self.first, count + 1, dtype=torch.float64, device=found.best.device)
        lasts = evaluations.log().diff()  # how long, in logarithms, each best so far was the best
        heights = found.normalised(found.best[:, self.first - 1 : -1])
        dead = ~trial.explanation.alive
        area = (heights * lasts).sum(1) / lasts.sum()
        return Values.of(area.masked_fill(dead, 0.0)[:, None], found.measurable[:, None], dead[:, None])
