"""Which of the dataset's classes a model names, and which cue that follows (Geirhos et al. 2019, arXiv 1811.12231)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ambench import naming
from ambench.core import InputError, Predictions, Trial, Values


@dataclass(frozen=True, eq=False)
class Cues:
    """Shares of each answer [B] float64 that name the image's shape and its texture; equal logits share.

    conflict [B] bool: the two cues disagree; flat [B] bool: the model answers all classes alike.
    """

    shape: Tensor
    texture: Tensor
    conflict: Tensor
    flat: Tensor

    def as_values(self, trial: Trial[Predictions], scores: Tensor, defined: Tensor) -> Values:
        """Return one score for each image [B], the same for every concept asked of it [B, T]."""
        columns = trial.case.targets.shape[1]
        one, two, three = (column[:, None].expand(-1, columns) for column in (scores, defined, self.flat))
        return Values.of(one, two, three)


def cues(trial: Trial[Predictions], how: naming.Aggregate = "mean") -> Cues | None:
    """Return which cue the model's answers follow, None where the dataset does not know both."""
    if trial.case.truth.shape is None or trial.case.truth.texture is None:
        return None
    found: Cues = trial.share(("cues", how), lambda: _cues(trial, how))
    return found


def _cues(trial: Trial[Predictions], how: naming.Aggregate) -> Cues:
    shape, texture = trial.case.truth.shape, trial.case.truth.texture
    assert shape is not None
    assert texture is not None
    evidence, columns = naming.evidence(trial.model, _finite(trial), trial.classes, how)  # [B, N], [classes]
    best = evidence == evidence.amax(1, keepdim=True)
    answer = best / best.sum(1, keepdim=True, dtype=torch.float64)  # [B, N]
    named = [answer.gather(1, columns[cue.long()][:, None])[:, 0] for cue in (shape, texture)]
    return Cues(named[0], named[1], shape != texture, best.all(1))


def _finite(trial: Trial[Predictions]) -> Tensor:
    """Return the model's logits; raises InputError where those of a class are not finite."""
    logits = trial.explanation.logits
    broken = (~logits[:, list(trial.model.class_units)].isfinite()).any(1).nonzero().flatten().tolist()
    if broken:
        raise InputError(f"model '{trial.model.name}' answers image '{trial.case.ids[broken[0]]}' with NaN or infinity")
    return logits
