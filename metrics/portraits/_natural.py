"""Natural images beside portraits: the strongest ones of each unit, and their features."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from ambench import activations, features
from ambench.core import Case, Model, Portraits, Skipped, Trial

from ._responses import natural_sought


def strongest(trial: Trial[Portraits], concept: int) -> Tensor:
    """Return the rows [n] of the examples that show a concept, those first that excite its portraits' unit most."""
    column = int((trial.case.targets[:, 0] == concept).nonzero()[0])
    shown = trial.concepts.present[:, concept].nonzero().flatten()  # [n]
    return shown[natural_sought(trial)[shown, column].argsort(descending=True, stable=True)]


def stand_ins(trial: Trial[Portraits]) -> tuple[Trial[Portraits], Tensor]:
    """Return the trial with natural images in the portraits' place, and for which of them there is one [P] bool.

    The first portrait of a unit gives way to the unit's strongest image, the second to the next, and so on.
    """
    concepts = trial.case.targets[:, 0].tolist()
    images, there = trial.case.images.clone(), []
    ranked = {concept: strongest(trial, concept) for concept in set(concepts)}
    for row, concept in enumerate(concepts):
        place = concepts[:row].count(concept)
        there.append(place < len(ranked[concept]))
        if there[-1]:
            images[row] = trial.concepts.images[ranked[concept][place]]
    case = Case(images, trial.case.targets, trial.case.truth, trial.case.ids)
    portraits = replace(trial.explanation, images=images, alive=torch.ones_like(trial.explanation.alive))
    shared: dict[Hashable, Any] = {"natural sought": natural_sought(trial)}  # the rest is about the portraits
    return replace(trial, case=case, explanation=portraits, shared=shared), torch.tensor(there, device=images.device)


def layer_of(model: Model, layer: str | None) -> str:
    """Return a layer's name, the model's default for None; raises Skipped for a model without layers."""
    if layer is None and model.layer not in model.layers:
        raise Skipped(f"model '{model.name}' has no layer whose features could be read")
    return model.at(layer).name


def natural_features(trial: Trial[Portraits], layer: str) -> Tensor:
    """Return a layer's features of the examples, averaged over cells [N, C] float64, computed once a case."""

    def read() -> Tensor:
        wanted = activations.Read(layer, "mean")
        return activations.read(trial.model, trial.concepts.images, [wanted])[wanted].whole().double()

    return trial.share(("natural features", layer), read)  # type: ignore[no-any-return]


def features_of(model: Model, images: Tensor, layer: str) -> Tensor:
    """Return a layer's features of images, averaged over cells [B, C] float64."""
    return features.pool(features.read(model, images, [layer])[layer], "mean").double()
