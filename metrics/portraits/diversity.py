"""Whether the restarts of a unit show different things."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from ambench.core import Better, Metric, Portraits, Trial, Values

from ._natural import features_of, layer_of, natural_features, stand_ins
from ._responses import natural_sought, own_sought


@dataclass(frozen=True)
class Diversity(Metric[Portraits]):
    """Mean of 1 - cosine between a portrait's features and those of its unit's other restarts; up, [0, 2].

    The mean over a unit's restarts is thus the mean over its pairs. Features are those of `layer` (None: the model's
    own), averaged over cells, less their mean over natural images (the method's examples). A unit with one portrait is
    undefined. Noise is diverse: a pair counts 0 unless both excite their unit more than the strongest natural image
    does (`successful` false: whatever they do). A pair with a dead portrait counts 0.

    `yardstick` scores, in the portraits' place, as many natural images that show the concept, the strongest first; they
    need not be stronger than themselves.

    >>> from ambench import toy
    >>> from ambench.core import Case, Randomness, Truth
    >>> red = torch.tensor([1.0, 0, 0]).view(1, 3, 1, 1).expand(2, 3, 16, 16)
    >>> portraits = Portraits(red, torch.tensor([0, 0]), torch.ones(2).bool(), torch.zeros(2, 1))
    >>> case = Case(red, torch.tensor([[0], [0]]), Truth(torch.ones(2, 1).bool()), ("red/0", "red/1"))
    >>> concepts = toy.Squares().concepts("fit")
    >>> values = Diversity().score(Trial(toy.network(), case, portraits, concepts, Randomness((0,)), torch.arange(3)))
    >>> [round(value, 9) for value in values.values[:, 0].tolist()]  # twice the same
    [0.0, 0.0]
    """

    reads: ClassVar[type[Portraits]] = Portraits
    families: ClassVar[tuple[str, ...]] = ("synthesis",)
    standard: ClassVar[bool] = False
    better: ClassVar[Better] = "higher"
    range: ClassVar[tuple[float, float]] = (0.0, 2.0)
    chance: ClassVar[float | None] = 0.0

    layer: str | None = None
    successful: bool = True
    yardstick: bool = False

    def score(self, trial: Trial[Portraits]) -> Values | None:
        """Return one value for each portrait [P, 1], None without natural images; Skipped without a layer."""
        if not len(trial.concepts):
            return None
        if self.yardstick:
            trial, there = stand_ins(trial)
            values = replace(self, yardstick=False, successful=False)._among(trial, there)
            return replace(values, flat=values.flat & values.defined)
        everyone = torch.ones_like(trial.explanation.alive)
        return self._among(trial, everyone)

    def _among(self, trial: Trial[Portraits], there: Tensor) -> Values:
        """Return the values of those portraits that are there [P] bool, among themselves."""
        layer = layer_of(trial.model, self.layer)
        centre = natural_features(trial, layer).mean(0)
        directions = F.normalize(features_of(trial.model, trial.case.images, layer) - centre, dim=1)  # [P, C]
        concepts, alive = trial.case.targets[:, 0], trial.explanation.alive
        pairs = (concepts[:, None] == concepts) & there[:, None] & there  # [P, P]
        pairs.fill_diagonal_(False)
        good = alive & (own_sought(trial) > natural_sought(trial).amax(0)) if self.successful else alive
        distance = (1 - (directions[:, None] * directions).sum(2)).clamp(0, 2)  # [P, P]
        count = pairs.sum(1)
        total = (distance * (pairs & good[:, None] & good)).sum(1)
        return Values.of((total / count.clamp_min(1))[:, None], (count > 0)[:, None], ~alive[:, None])
