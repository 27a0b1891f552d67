"""How many evaluations a search without gradients needs to beat every natural image."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch

from ambench.core import Better, Metric, Portraits, Trial, Values

from ._curves import curves


@dataclass(frozen=True)
class EvaluationsToNatural(Metric[Portraits]):
    """Evaluations until the best logit so far exceeds that of the strongest natural image; down, >= 1.

    The natural images are the method's examples. A search that never got there, or whose portrait is dead, scores its
    whole budget and is counted as flat: its mean is then too low, so read it beside that count, and compare searches
    of one budget only.

    >>> from ambench import toy
    >>> from ambench.core import Case, Randomness, Truth
    >>> model, concepts = toy.network(), toy.Squares().concepts("fit")
    >>> natural, image = model.network(concepts.images)[:, 0].max(), concepts.images[:1]
    >>> details = {"blind_mean": natural[None] - 9, "in_logits": torch.tensor([True])}
    >>> curve = natural + torch.tensor([[-5.0, -1.0, 0.5, 0.5, 2.0]])
    >>> portraits = Portraits(image, torch.tensor([0]), torch.tensor([True]), curve.detach(), details=details)
    >>> case = Case(image, torch.tensor([[0]]), Truth(torch.tensor([[True]])), ("red/0",))
    >>> trial = Trial(model, case, portraits, concepts, Randomness((0,)), torch.arange(3))
    >>> EvaluationsToNatural().score(trial).values.item()
    3.0
    """

    reads: ClassVar[type[Portraits]] = Portraits
    families: ClassVar[tuple[str, ...]] = ("synthesis",)
    standard: ClassVar[bool] = False
    better: ClassVar[Better] = "lower"
    range: ClassVar[tuple[float, float]] = (1.0, math.inf)
    citation: ClassVar[str] = "Pospelov et al. 2024, arXiv 2401.10748"

    def score(self, trial: Trial[Portraits]) -> Values | None:
        """Return one value for each portrait [P, 1], None without natural images; Skipped: no search, no logits."""
        found = curves(trial)
        if found is None:
            return None
        below = (found.best <= found.natural[:, None]).sum(1)  # [P], the curve never falls
        budget = found.best.shape[1]
        never = (below == budget) | ~trial.explanation.alive
        needed = torch.where(never, budget, below + 1)
        return Values.of(needed[:, None], flat=never[:, None])
