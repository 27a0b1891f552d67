"""What a model answers to the portraits of a trial, and to the natural images beside them."""

from __future__ import annotations

from torch import Tensor

from ambench import features
from ambench.core import InputError, Model, Portraits, Trial


def natural(trial: Trial[Portraits], model: Model) -> Tensor:
    """Return a model's logits on the method's own examples [N, U] float64, computed once a case."""
    return trial.share(("natural logits", model), lambda: _logits(model, trial.concepts.images))  # type: ignore[no-any-return]


def synthetic(trial: Trial[Portraits], model: Model) -> Tensor:
    """Return a model's logits on the portraits [P, U] float64; raises InputError where one is not finite."""
    logits: Tensor = trial.share(("portrait logits", model), lambda: _logits(model, trial.case.images))
    broken = (~logits.isfinite()).any(1).nonzero().flatten().tolist()
    if broken:
        raise InputError(f"model '{model.name}' answers portrait '{trial.case.ids[broken[0]]}' with NaN or infinity")
    return logits


def _logits(model: Model, images: Tensor) -> Tensor:
    return features.logits(model, images).double()
