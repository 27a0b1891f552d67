"""How many answers to conflicting cues name either of them (Geirhos et al. 2019, arXiv 1811.12231)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ambench.core import Better, Metric, Predictions, Trial, Values
from ambench.naming import Aggregate

from ._answers import cues


@dataclass(frozen=True)
class Coverage(Metric[Predictions]):
    """1 where the model's class is the image's shape or its texture, 0 where it is neither; descriptive, [0, 1].

    Without it `shape_bias` hides how many answers it leaves out. Images without conflict are undefined. `aggregate` as
    in `shape_bias`.

    >>> import torch
    >>> from ambench.core import Case, Model, Truth
    >>> network = torch.nn.Identity()
    >>> model = Model("toy", "none", network, {"cat": 0, "dog": 1, "car": 2}, {}, "", (3,), ("cat", "dog", "car"))
    >>> truth = Truth(torch.ones(3, 1).bool(), shape=torch.tensor([0, 0, 0]), texture=torch.tensor([1, 1, 1]))
    >>> case = Case(torch.eye(3), torch.zeros(3, 1).long(), truth, ("says cat", "says dog", "says car"))
    >>> answer = Predictions(scores=torch.zeros(3, 1), logits=torch.eye(3))
    >>> trial = Trial(model, case, answer, None, None, units=torch.tensor([0]), classes=model.classes)
    >>> Coverage().score(trial).values.tolist()
    [[1.0], [1.0], [0.0]]
    """

    reads: ClassVar[type[Predictions]] = Predictions
    better: ClassVar[Better] = "neither"
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    needs: ClassVar[tuple[str, ...]] = ("shape", "texture")
    citation: ClassVar[str] = "Geirhos et al. 2019, arXiv 1811.12231"

    aggregate: Aggregate = "mean"

    def score(self, trial: Trial[Predictions]) -> Values | None:
        """Return one value for each image, the same for every concept asked of it [B, T]."""
        found = cues(trial, self.aggregate)
        return None if found is None else found.as_values(trial, found.shape + found.texture, found.conflict)
