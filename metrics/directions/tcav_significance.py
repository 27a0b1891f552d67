"""Whether a TCAV score differs from those of random directions (Kim et al. 2018)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ambench.core import Better, Directions, Metric, Trial, Values

from ._classes import classes_seen


@dataclass(frozen=True)
class TcavSignificance(Metric[Directions]):
    """Holm-adjusted p of a class's TCAV scores against those of random directions; down, [0, 1].

    (Kim et al. 2018, arXiv 1711.11279.) Rows are classes, not images, and each value is its own test: the class reacts
    to the concept where its value is below the level that was chosen beforehand, .05 say. The mean over classes is a
    summary and no p-value. The refits that are compared share their positives, so these p are far too optimistic: of
    labels that meant nothing a quarter was below .05 even so (measured); the method's `permutation_p` holds its level.
    What protects, mostly, is that a concept whose probe may be a coin is left out; so is a class that the network sees
    in no example. A small p says that there is an effect, not that it is large (`tcav_score`).

    >>> import torch
    >>> from ambench import toy
    >>> details = {"p_adjusted": [[0.01, 0.75, 1.0]], "images": [8, 4, 0], "chance": [False]}
    >>> details = {name: torch.tensor(numbers, dtype=torch.float64) for name, numbers in details.items()}
    >>> found = Directions(torch.eye(1, 3), torch.zeros(1), "features", "mean", details)
    >>> values = TcavSignificance().score(Trial(toy.network(), None, found, None, None, None))
    >>> values.ids, values.values.flatten().tolist(), values.defined.flatten().tolist()
    (('red', 'green', 'blue'), [0.01, 0.75, 0.0], [True, True, False])
    """

    reads: ClassVar[type[Directions]] = Directions
    families: ClassVar[tuple[str, ...]] = ("probes",)
    better: ClassVar[Better] = "lower"
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    citation: ClassVar[str] = "Kim et al. 2018, arXiv 1711.11279"

    def score(self, trial: Trial[Directions]) -> Values | None:
        """Return one value for each class and concept [N, K]; None of directions that were not tested."""
        adjusted = trial.explanation.details.get("p_adjusted")
        if adjusted is None:
            return None
        return Values.of(adjusted.T, classes_seen(trial.explanation), ids=trial.model.classes)
