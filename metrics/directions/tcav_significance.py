"""Whether a TCAV score differs from those of random directions (Kim et al. 2018)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from ambench.core import Better, Directions, Metric, Trial, Values

from ._classes import classes_seen


@dataclass(frozen=True)
class TcavSignificance(Metric[Directions]):
    """A class's p, corrected for all concepts and classes of the table; down, [0, 1].

    (Kim et al. 2018, arXiv 1711.11279.) Rows are classes, not images, and each value is its own test: the class reacts
    to the concept where its value is below the level that was chosen beforehand, .05 say. The mean over classes is a
    summary and no p-value. `test` permutation: how many of 100 shuffled labels have a score as far from .5, anywhere in
    the table; it holds its level, and finds nothing before a linear head, where every direction scores 0 or 1. `welch`:
    Welch's t-test of refits against random directions as published, adjusted by Holm; the refits share their positives,
    so it is far too optimistic, and of labels that meant nothing a quarter was below .05 even so (measured). A concept
    whose probe may be a coin is left out, and so is a class that the network sees in no example. A small p says that
    there is an effect, not that it is large (`tcav_score`).

    >>> import torch
    >>> from ambench import toy
    >>> details = {"permutation_p_family": [[0.01, 0.75, 1.0]], "images": [8, 4, 0], "chance": [False]}
    >>> details = {name: torch.tensor(numbers, dtype=torch.float64) for name, numbers in details.items()}
    >>> found = Directions(torch.eye(1, 3), torch.zeros(1), "features", "mean", details)
    >>> values = TcavSignificance().score(Trial(toy.network(), None, found, None, None, None))
    >>> values.ids, values.values.flatten().tolist(), values.defined.flatten().tolist()
    (('red', 'green', 'blue'), [0.01, 0.75, 0.0], [True, True, False])
    """

    reads: ClassVar[type[Directions]] = Directions
    families: ClassVar[tuple[str, ...]] = ("probes",)
    standard: ClassVar[bool] = False
    better: ClassVar[Better] = "lower"
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    citation: ClassVar[str] = "Kim et al. 2018, arXiv 1711.11279"

    test: Literal["permutation", "welch"] = "permutation"

    def score(self, trial: Trial[Directions]) -> Values | None:
        """Return one value for each class and concept [N, K]; None of directions that were not tested."""
        name = {"permutation": "permutation_p_family", "welch": "p_adjusted"}[self.test]
        adjusted = trial.explanation.details.get(name)
        if adjusted is None:
            return None
        return Values.of(adjusted.T, classes_seen(trial.explanation), ids=trial.model.classes)
