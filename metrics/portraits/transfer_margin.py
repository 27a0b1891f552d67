"""How clearly other models recognise what a portrait was made for."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ambench.core import Better, Metric, Model, Portraits, Trial, Values

from ._judges import is_class, is_competent, judges
from ._responses import natural, synthetic


@dataclass(frozen=True)
class TransferMargin(Metric[Portraits]):
    """The concept's logit over its strongest rival's in the other models, in natural deviations; up, any real number.

    Of a judge's class the rivals are its other classes; a unit that stands alone is measured from the mean of natural
    images (the method's examples) without the concept. Either is divided by its own standard deviation over those
    examples and averaged over the judges that know the concept (as in `transfer`). A dead portrait scores 0. Unlike
    `transfer`, it goes on where every portrait is recognised.

    >>> from dataclasses import replace
    >>> from ambench import toy
    >>> from ambench.core import Case, Randomness, Truth
    >>> red = torch.zeros(1, 3, 16, 16)
    >>> red[0, 0, :5, :5] = 0.9
    >>> portraits = Portraits(red, torch.tensor([0]), torch.tensor([True]), torch.zeros(1, 1))
    >>> case = Case(red, torch.tensor([[0]]), Truth(torch.tensor([[True]])), ("red/0",))
    >>> trial = Trial(toy.network(), case, portraits, toy.Squares().concepts("fit"), Randomness((0,)), torch.arange(3))
    >>> bool(TransferMargin().score(replace(trial, panel=(toy.network(2.0),))).values[0, 0] > 0)
    True
    """

    reads: ClassVar[type[Portraits]] = Portraits
    better: ClassVar[Better] = "higher"
    range: ClassVar[tuple[float, float]] = (-math.inf, math.inf)
    chance: ClassVar[float | None] = 0.0
    standard: ClassVar[bool] = False

    competence: float = 0.75

    def score(self, trial: Trial[Portraits]) -> Values | None:
        """Return one value for each portrait [P, 1], undefined where no judge knows its concept, None if all are."""
        asked = trial.case.targets[:, 0]  # [P]
        total, votes = (asked.new_zeros(len(asked), dtype=torch.float64) for _ in range(2))
        for judge in judges(trial):
            for concept in sorted(set(asked.tolist())):
                if is_competent(trial, judge, concept, self.competence):
                    rows = asked == concept
                    total[rows] += self._margins(trial, judge, concept)[rows]
                    votes[rows] += 1
        if not votes.any():
            return None
        dead = ~trial.explanation.alive
        mean = total.masked_fill(dead, 0.0) / votes.clamp(min=1)
        return Values.of(mean[:, None], (votes > 0)[:, None], dead[:, None])

    def _margins(self, trial: Trial[Portraits], judge: Model, concept: int) -> Tensor:
        """Return the portraits' margins [P] in a judge's natural deviations."""
        name, present = trial.concepts.names[concept], trial.concepts.present[:, concept]
        examples, portraits = natural(trial, judge), synthetic(trial, judge)
        if is_class(judge, name):
            spread, margins = (_over_rivals(logits, judge, name) for logits in (examples, portraits))
        else:
            own = judge.units[name]
            spread, margins = examples[:, own], portraits[:, own] - examples[~present, own].mean()
        return margins / spread.std().clamp_min(1e-9)


def _over_rivals(logits: Tensor, judge: Model, name: str) -> Tensor:
    """Return a class's logit minus the largest of the other classes' [N]."""
    own = judge.units[name]
    rivals = [unit for unit in judge.class_units if unit != own]
    return logits[:, own] - logits[:, rivals].amax(1)
