"""Whether a network names the class of an image, by the cue that it was trained on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from ambench import naming
from ambench.core import Better, Metric, Predictions, Trial, Values

from ._features import Labels, refuse_broken


@dataclass(frozen=True)
class ClassAccuracy(Metric[Predictions]):
    """1 where the model's class is the image's, classes that are equally likely sharing; up, [0, 1].

    That is the class of the cue that the network's classes name (`own`): the dataset's names, or, of a twin, as many
    others; or else that of the cue named in `labels`. Measures of features say little without it.

    >>> from ambench import toy
    >>> from ambench.core import Case, Truth
    >>> truth = Truth(torch.ones(2, 1).bool(), shape=torch.tensor([0, 1]))
    >>> case = Case(torch.zeros(2, 3, 16, 16), torch.zeros(2, 1).long(), truth, ("a", "b"))
    >>> answer = Predictions(torch.zeros(2, 1), torch.tensor([[2.0, 1.0, 0.0], [1.0, 1.0, 0.0]]))
    >>> trial = Trial(toy.network(), case, answer, None, None, None, classes=("red", "green", "blue"))
    >>> ClassAccuracy().score(trial).values.tolist()
    [[1.0], [0.5]]
    """

    reads: ClassVar[type[Predictions]] = Predictions
    standard: ClassVar[bool] = False
    better: ClassVar[Better] = "higher"
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    needs: ClassVar[tuple[str, ...]] = ("shape",)

    labels: Labels = "own"

    def score(self, trial: Trial[Predictions]) -> Values | None:
        """Return one value for each image, the same for every concept asked of it [B, T]; None without classes."""
        refuse_broken(trial)
        truth = trial.case.truth
        cue = naming.cue_of(trial.model, trial.classes) if self.labels == "own" else self.labels
        number = truth.shape if cue == "shape" else truth.texture
        if number is None or truth.shape is None:
            return None
        evidence, columns = naming.evidence(trial.model, trial.explanation.logits, trial.classes)  # [B, N]
        best = evidence == evidence.amax(1, keepdim=True)
        right = best.gather(1, columns[number.long()][:, None]) / best.sum(1, keepdim=True, dtype=torch.float64)
        shape = trial.case.targets.shape
        return Values.of(right.expand(shape), flat=best.all(1, keepdim=True).expand(shape))
