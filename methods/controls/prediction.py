"""The model's own answer, which no map is needed for: the reference for every "is it there?"."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ambench import features
from ambench.core import AttributionMethod, Concepts, InputError, Model, Predictions, Randomness


@dataclass(frozen=True)
class Prediction(AttributionMethod):
    """The logits, and those of the targets as scores; it says nothing about where.

    >>> Prediction().control
    False
    """

    citation = "ambench: the reference that explanations are read beside, no floor"

    def attribute(
        self, model: Model, images: Tensor, targets: Tensor, concepts: Concepts, randomness: Randomness
    ) -> Predictions:
        """Return logits [B, U] and scores [B, T]; raises InputError for a target that is no output unit."""
        if targets.ndim != 2 or len(targets) != len(images):
            raise InputError(f"targets must be output units [{len(images)}, T], not {list(targets.shape)}")
        logits = features.logits(model, images)
        targets = targets.to(logits.device)
        for unit in (int(targets.min()), int(targets.max())):
            if not 0 <= unit < logits.shape[1]:
                raise InputError(
                    f"model '{model.name}' has no output unit {unit}; it has units 0 to {logits.shape[1] - 1}"
                )
        return Predictions(logits.gather(1, targets), logits)
