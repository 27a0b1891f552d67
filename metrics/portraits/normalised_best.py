"""How far a search without gradients got, between blind draws and the strongest natural image."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from ambench.core import Better, Metric, Portraits, Trial, Values

from ._curves import curves


@dataclass(frozen=True)
class NormalisedBest(Metric[Portraits]):
    """The best logit that a search found, 0 at the mean of blind draws, 1 at the strongest natural image; up.

    `(best - blind) / (natural - blind)`, any real number; the natural images are the method's examples, and the blind
    draws, uniform over the space that was searched, the search's own. A unit whose
    strongest natural image is not above blind draws is undefined, a dead portrait scores 0. Logits, because a
    class's probability saturates and leaves nothing to compare; and look at the concepts one by one, because means
    hide the unit on which a search failed.

    >>> import torch
    >>> from ambench import toy
    >>> from ambench.core import Case, Randomness, Truth
    >>> model, concepts = toy.network(), toy.Squares().concepts("fit")
    >>> natural, image = model.network(concepts.images)[:, 0].max(), concepts.images[:1]
    >>> details = {"blind_mean": natural[None] - 2, "in_logits": torch.tensor([True])}
    >>> curve = natural - torch.tensor([[2.0, 1.5, 1.0]])
    >>> portraits = Portraits(image, torch.tensor([0]), torch.tensor([True]), curve.detach(), details=details)
    >>> case = Case(image, torch.tensor([[0]]), Truth(torch.tensor([[True]])), ("red/0",))
    >>> trial = Trial(model, case, portraits, concepts, Randomness((0,)), torch.arange(3))
    >>> round(NormalisedBest().score(trial).values.item(), 5)
    0.5
    """

    reads: ClassVar[type[Portraits]] = Portraits
    families: ClassVar[tuple[str, ...]] = ("synthesis",)
    standard: ClassVar[bool] = False
    better: ClassVar[Better] = "higher"
    range: ClassVar[tuple[float, float]] = (-math.inf, math.inf)
    chance: ClassVar[float | None] = 0.0
    citation: ClassVar[str] = "Pospelov et al. 2024, arXiv 2401.10748"

    def score(self, trial: Trial[Portraits]) -> Values | None:
        """Return one value for each portrait [P, 1], None without natural images; Skipped: no search, no logits."""
        found = curves(trial)
        if found is None:
            return None
        dead = ~trial.explanation.alive
        values = found.normalised(found.best[:, -1]).masked_fill(dead, 0.0)
        return Values.of(values[:, None], found.measurable[:, None], dead[:, None])
