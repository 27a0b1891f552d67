"""Which of a dataset's classes a network names, where their names and numbers differ (Geirhos et al. 2019)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from ambench.categories import IMAGENET_CLASSES, sixteen
from ambench.core import InputError, Model

Aggregate = Literal["mean", "sum", "max"]


def aggregate(probabilities: Tensor, members: Sequence[Sequence[int]], how: Aggregate = "mean") -> Tensor:
    """Return probabilities [B, U] of each group [B, G]: its members' mean, so that many have no head start, sum or max.

    >>> aggregate(torch.tensor([[0.4, 0.3, 0.3]]), [[0], [1, 2]])
    tensor([[0.4000, 0.3000]])
    """
    groups = [probabilities[:, list(group)] for group in members]
    return torch.stack([group.amax(1) if how == "max" else getattr(group, how)(1) for group in groups], dim=1)


def log_means(logits: Tensor, members: Sequence[Sequence[int]]) -> Tensor:
    """Return the log of the mean of each group's exponentials [B, G] of logits [B, U].

    They are in the order of the groups' mean probabilities, and differ from their logs by one number an image.

    >>> log_means(torch.tensor([[1.0, 2.0, 2.0]]), [[0], [1, 2]])
    tensor([[1., 2.]])
    """
    return torch.stack([logits[:, list(group)].logsumexp(1) - math.log(len(group)) for group in members], dim=1)


def answers_categories(model: Model, wanted: Sequence[str]) -> bool:
    """Say whether a model names ImageNet's classes and somebody wants some of the sixteen categories from it."""
    return len(model.classes) == IMAGENET_CLASSES and bool(wanted) and set(wanted) <= set(sixteen())


def cue_of(model: Model, wanted: Sequence[str]) -> Literal["shape", "texture"]:
    """Return which cue a model's classes name: the shape if they are the dataset's, else (a twin) the texture."""
    known = set(wanted) <= set(model.classes) or answers_categories(model, wanted)
    return "shape" if known else "texture"


def evidence(model: Model, logits: Tensor, wanted: Sequence[str], how: Aggregate = "mean") -> tuple[Tensor, Tensor]:
    """Return how strongly a model names each class it can answer [B, N] float64, and the columns of those wanted.

    `logits` [B, U] are its answers. Classes are matched by name; a network of 1000 classes answers with the sixteen
    categories, whose members' probabilities are aggregated; a texture-trained twin has other names in the same number,
    and its i-th class output is the i-th class wanted. Raises InputError where none of these fits.
    """
    logits = logits[:, list(model.class_units)].double()
    if wanted and set(wanted) <= set(model.classes):
        known = list(model.classes)
    elif answers_categories(model, wanted):
        logits, known = aggregate(logits.softmax(1), list(sixteen().values()), how), list(sixteen())
    elif wanted and len(wanted) == len(model.classes):
        known = list(wanted)
    else:
        names = ", ".join(wanted) or "classes without names"
        raise InputError(f"model '{model.name}' has no class outputs for the dataset's cues: {names}")
    return logits, torch.tensor([known.index(name) for name in wanted], device=logits.device)


def units_of(model: Model, wanted: Sequence[str]) -> Tensor:
    """Return a model's output unit for each class wanted [classes], by name or, of a twin, by order."""
    if wanted and set(wanted) <= set(model.units):
        units = [model.units[name] for name in wanted]
    elif wanted and len(wanted) == len(model.classes):
        units = list(model.class_units)
    else:
        raise InputError(
            f"model '{model.name}' has no output units for the classes {', '.join(wanted) or 'without names'}"
        )
    return torch.tensor(units, device=model.device)
