"""Whether a portrait drives its unit harder than natural images do (after Zimmermann et al. 2023, arXiv 2307.05471)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch

from ambench.core import Better, Metric, Portraits, Trial, Values

from ._responses import natural_sought, own_sought


@dataclass(frozen=True)
class ActivationGain(Metric[Portraits]):
    """Where a portrait's response J lies between mean (0) and maximum (1) of natural images; up, any real number.

    `(J - mean) / (max - mean)`, J the unit's logit (or the hidden direction that the portrait seeks), without any
    transform of the image; the natural images are the method's examples, and the maximum grows with their number. A
    unit that all natural images drive alike is undefined, a dead portrait scores 0. High activation does not mean that
    anybody recognises the picture.

    >>> from ambench import toy
    >>> from ambench.core import Case, Randomness, Truth
    >>> model, concepts = toy.network(), toy.Squares().concepts("fit")
    >>> brightest = concepts.images[model.network(concepts.images)[:, 0].argmax()][None]
    >>> case = Case(brightest, torch.tensor([[0]]), Truth(torch.tensor([[True]])), ("red/0",))
    >>> portraits = Portraits(brightest, torch.tensor([0]), torch.tensor([True]), torch.zeros(1, 1))
    >>> trial = Trial(model, case, portraits, concepts, Randomness((0,)), torch.arange(3))
    >>> ActivationGain().score(trial).values.tolist()
    [[1.0]]
    """

    reads: ClassVar[type[Portraits]] = Portraits
    better: ClassVar[Better] = "higher"
    range: ClassVar[tuple[float, float]] = (-math.inf, math.inf)
    chance: ClassVar[float | None] = 0.0
    citation: ClassVar[str] = "Zimmermann et al. 2023, arXiv 2307.05471"

    def score(self, trial: Trial[Portraits]) -> Values | None:
        """Return one value for each portrait [P, 1], None without natural images."""
        if not len(trial.concepts):
            return None
        responses, pool = own_sought(trial)[:, None], natural_sought(trial)  # [P, 1], [N, P]
        mean, peak = pool.mean(0)[:, None], pool.amax(0)[:, None]  # [P, 1]
        defined = peak - mean >= 1e-9
        gain = (responses - mean) / torch.where(defined, peak - mean, torch.ones_like(mean))
        dead = ~trial.explanation.alive[:, None]
        return Values.of(gain.masked_fill(dead, 0.0), defined, dead)
