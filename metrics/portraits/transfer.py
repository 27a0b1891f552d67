"""Whether other models recognise what a portrait was made for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ambench.core import Better, Metric, Model, Portraits, Trial, Values

from ._judges import is_class, is_competent, judges
from ._responses import natural, synthetic


@dataclass(frozen=True)
class Transfer(Metric[Portraits]):
    """Share of the other models that see the concept in its portrait; up, [0, 1].

    A judge is a model with other weights, the same input shape and an output unit of the concept's name or number. Of
    one of its classes it must answer with that class (ties shared; chance 1 / number of classes); a dead portrait
    scores chance.

    Ours: for a unit that stands alone, the portrait must drive it harder than the `quantile` of natural images (the
    method's examples) without the concept do (chance 1 - quantile); and a judge is heard about a concept only if it can
    tell natural images with it from those without it (area under the ROC curve at least `competence`; 0 hears all), so
    an untrained model has no say. The source's own answer is never counted, and judges trained from the source's
    initial weights flatter it.

    >>> from dataclasses import replace
    >>> from ambench import toy
    >>> from ambench.core import Case, Randomness, Truth
    >>> red = torch.zeros(1, 3, 16, 16)
    >>> red[0, 0, :5, :5] = 0.9
    >>> portraits = Portraits(red, torch.tensor([0]), torch.tensor([True]), torch.zeros(1, 1))
    >>> case = Case(red, torch.tensor([[0]]), Truth(torch.tensor([[True]])), ("red/0",))
    >>> concepts = toy.Squares().concepts("fit")
    >>> trial = Trial(toy.network(), case, portraits, concepts, Randomness((0,)), torch.arange(3))
    >>> Transfer().score(replace(trial, panel=(toy.network(2.0),))).values.tolist()
    [[1.0]]
    >>> Transfer().score(trial) is None
    True
    """

    reads: ClassVar[type[Portraits]] = Portraits
    better: ClassVar[Better] = "higher"
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)

    competence: float = 0.75
    quantile: float = 0.95

    def score(self, trial: Trial[Portraits]) -> Values | None:
        """Return one value for each portrait [P, 1], undefined where no judge knows its concept, None if all are."""
        asked = trial.case.targets[:, 0]  # [P]
        won, chance, votes = (asked.new_zeros(len(asked), dtype=torch.float64) for _ in range(3))
        for judge in judges(trial):
            for concept in sorted(set(asked.tolist())):
                if is_competent(trial, judge, concept, self.competence):
                    rows = asked == concept
                    won[rows] += self._wins(trial, judge, concept)[rows]
                    chance[rows] += self._chance(trial, judge, concept)
                    votes[rows] += 1
        if not votes.any():
            return None
        dead = ~trial.explanation.alive
        share = torch.where(dead, chance, won) / votes.clamp(min=1)
        return Values.of(share[:, None], (votes > 0)[:, None], dead[:, None])

    def _wins(self, trial: Trial[Portraits], judge: Model, concept: int) -> Tensor:
        """Return how far the judge answers each portrait with this concept [P], in [0, 1]."""
        logits, name = synthetic(trial, judge), trial.concepts.names[concept]
        response = logits[:, judge.units[name]]
        if not is_class(judge, name):
            without = natural(trial, judge)[~trial.concepts.present[:, concept], judge.units[name]]
            return (response > without.quantile(self.quantile)).double()
        rivals = logits[:, list(judge.class_units)]
        best = rivals == rivals.amax(1, keepdim=True)  # [P, classes]
        return (response == rivals.amax(1)) / best.sum(1)

    def _chance(self, trial: Trial[Portraits], judge: Model, concept: int) -> float:
        known = is_class(judge, trial.concepts.names[concept])
        return 1 / len(judge.classes) if known else 1 - self.quantile
