"""How often moving along a concept raises a class's logit (Kim et al. 2018)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ambench.core import Better, Directions, Metric, Trial, Values

from ._classes import classes_seen


@dataclass(frozen=True)
class TcavScore(Metric[Directions]):
    """Share of a class's images whose logit grows along the concept's direction; descriptive, [0, 1], a coin .5.

    (Kim et al. 2018, arXiv 1711.11279.) Rows are classes, not images. Scores near 0 and 1 are common for random
    directions as well, so a score alone says nothing: read it with `tcav_significance`. Neither does the mean over
    classes, for a concept may raise one class and lower another; the score of each is in the values. A class that the
    network sees in no example is left out, and so is a concept whose probe may be a coin: its scores are refused. A
    direction along which no logit moves scores .5.

    >>> import torch
    >>> from ambench import toy
    >>> details = {"score": [[1.0, 0.25, 0.5]], "sensitivity": [[2.0, -1.0, 0.0]]}
    >>> details |= {"images": [8, 4, 0], "chance": [False]}
    >>> details = {name: torch.tensor(numbers) for name, numbers in details.items()}
    >>> found = Directions(torch.eye(1, 3), torch.zeros(1), "features", "mean", details)
    >>> values = TcavScore().score(Trial(toy.network(), None, found, None, None, None))
    >>> values.ids, values.values.flatten().tolist(), values.defined.flatten().tolist()
    (('red', 'green', 'blue'), [1.0, 0.25, 0.0], [True, True, False])
    """

    reads: ClassVar[type[Directions]] = Directions
    families: ClassVar[tuple[str, ...]] = ("probes",)
    standard: ClassVar[bool] = False
    better: ClassVar[Better] = "neither"
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    chance: ClassVar[float | None] = 0.5
    citation: ClassVar[str] = "Kim et al. 2018, arXiv 1711.11279"

    def score(self, trial: Trial[Directions]) -> Values | None:
        """Return one value for each class and concept [N, K]; None of directions that no class was asked about."""
        details = trial.explanation.details
        if "score" not in details or "chance" not in details:
            return None
        score = details["score"].T
        still = (details["sensitivity"].T == 0) & (score == 0.5)
        return Values.of(score, classes_seen(trial.explanation), still, ids=trial.model.classes)
