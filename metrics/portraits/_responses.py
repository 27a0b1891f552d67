"""What a model answers to the portraits of a trial, and to the natural images beside them."""

from __future__ import annotations

from torch import Tensor

from ambench import explanations, features
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


def sought(trial: Trial[Portraits], images: Tensor) -> Tensor:
    """Return how strongly images [N, *input] excite what each portrait was made for [N, P] float64.

    That is the logit of its own unit, or the direction that the portraits seek.
    """
    concepts = trial.case.targets[:, 0]  # [P]
    seeks = trial.explanation.seeks
    if seeks is None:
        return _logits(trial.model, images)[:, trial.units[concepts]]
    return explanations.strengths(trial.model, seeks, images).double()[:, concepts]


def natural_sought(trial: Trial[Portraits]) -> Tensor:
    """Return the same of the method's own examples [N, P] float64, computed once a case."""
    return trial.share("natural sought", lambda: sought(trial, trial.concepts.images))  # type: ignore[no-any-return]


def own_sought(trial: Trial[Portraits]) -> Tensor:
    """Return how strongly each portrait excites what it was made for [P] float64; InputError where it is not finite."""
    found: Tensor = trial.share("own sought", lambda: sought(trial, trial.case.images).diagonal())
    broken = (~found.isfinite()).nonzero().flatten().tolist()
    if broken:
        raise InputError(
            f"model '{trial.model.name}' answers portrait '{trial.case.ids[broken[0]]}' with NaN or infinity"
        )
    return found


def _logits(model: Model, images: Tensor) -> Tensor:
    return features.logits(model, images).double()
