"""Which of the dataset's classes a model names, and which cue that follows (Geirhos et al. 2019, arXiv 1811.12231)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files

import torch
from torch import Tensor

from ambench.core import InputError, Predictions, Trial


@dataclass(frozen=True, eq=False)
class Cues:
    """Shares of each answer [B] float64 that name the image's shape and its texture; equal logits share.

    conflict [B] bool: the two cues disagree; flat [B] bool: the model answers all classes alike.
    """

    shape: Tensor
    texture: Tensor
    conflict: Tensor
    flat: Tensor


def cues(trial: Trial[Predictions]) -> Cues | None:
    """Return which cue the model's answers follow, None where the dataset does not know both."""
    shape, texture = trial.case.truth.shape, trial.case.truth.texture
    if shape is None or texture is None:
        return None
    evidence, columns = _evidence(trial)  # [B, N], one column for each class of the dataset
    best = evidence == evidence.amax(1, keepdim=True)
    answer = best / best.sum(1, keepdim=True, dtype=torch.float64)  # [B, N]
    named = [answer.gather(1, columns[cue.long()][:, None])[:, 0] for cue in (shape, texture)]
    return Cues(named[0], named[1], shape != texture, best.all(1))


def aggregate(probabilities: Tensor, members: Sequence[Sequence[int]]) -> Tensor:
    """Return probabilities [B, U] averaged over each group's members [B, G]; groups of many get no head start.

    >>> aggregate(torch.tensor([[0.4, 0.3, 0.3]]), [[0], [1, 2]])
    tensor([[0.4000, 0.3000]])
    """
    return torch.stack([probabilities[:, list(group)].mean(1) for group in members], dim=1)


def sixteen_classes() -> dict[str, list[int]]:
    """Return the ImageNet indices behind each of the sixteen categories.

    >>> sum(len(indices) for indices in sixteen_classes().values())
    207
    """
    text = (files("ambench") / "datasets" / "sixteen_classes.json").read_text(encoding="utf-8")
    return json.loads(text)["classes"]  # type: ignore[no-any-return]


def _evidence(trial: Trial[Predictions]) -> tuple[Tensor, Tensor]:
    """How strongly the model names each class it can answer [B, N], and the column of each of the dataset's classes.

    They are matched by name; a 1000-class network answers with the sixteen categories; a texture-trained twin has other
    names in the same number, and its i-th class output is the dataset's i-th class.
    """
    model, wanted = trial.model, trial.classes
    logits = _class_logits(trial)
    sixteen = sixteen_classes()
    if wanted and set(wanted) <= set(model.classes):
        known = list(model.classes)
    elif logits.shape[1] == 1000 and wanted and set(wanted) <= set(sixteen):
        logits, known = aggregate(logits.softmax(1), list(sixteen.values())), list(sixteen)
    elif wanted and len(wanted) == len(model.classes):
        known = list(wanted)
    else:
        names = ", ".join(wanted) or "classes without names"
        raise InputError(f"model '{model.name}' has no class outputs for the dataset's cues: {names}")
    return logits, torch.tensor([known.index(name) for name in wanted], device=logits.device)


def _class_logits(trial: Trial[Predictions]) -> Tensor:
    logits = trial.explanation.logits[:, list(trial.model.class_units)].double()
    broken = (~logits.isfinite()).any(1).nonzero().flatten().tolist()
    if broken:
        raise InputError(f"model '{trial.model.name}' answers image '{trial.case.ids[broken[0]]}' with NaN or infinity")
    return logits
