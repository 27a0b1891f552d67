"""What the portraits of a dataset's concepts seek: output units, hidden channels that tell them best, or directions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from scipy.stats import rankdata
from torch import Tensor

from ambench import explanations, features
from ambench.activations import Read, read
from ambench.core import Concepts, Directions, InputError, Layer, Model

from ._natural import precision
from ._objectives import Objective, along, channel, log_probability, logit, middle, neuron

Seeking = Literal["logit", "probability", "channel", "neuron", "class_token", "dot", "cosine", "dotcos"]
OF_UNITS = ("logit", "probability")


@dataclass(frozen=True, eq=False)
class Sought:
    """An objective with a target for each concept, and the directions these are (None: they are output units)."""

    objective: Objective
    directions: Directions | None = None


def sought(model: Model, units: Tensor, concepts: Concepts, seeking: Seeking, layer: str | None) -> Sought:
    """Return what to seek for units [K]; concept k of the examples belongs to unit k.

    `logit` and `probability` are the unit's own. `channel` (mean over cells), `neuron` (the middle cell) and
    `class_token` take, of a layer's channels, the one by which images with the concept are best told from those without
    it. `dot`, `cosine` and `dotcos` follow the difference of mean features between the two (pattern_cav's direction).
    Raises InputError for a unit that is not there, or where examples are missing.
    """
    if seeking in OF_UNITS:
        _check(units, model)
        return Sought(
            Objective(None, units.to(model.device), logit if seeking == "logit" else log_probability(model.class_units))
        )
    at = model.at(layer)
    if len(units) != len(concepts.names) or not len(concepts):
        raise InputError(
            f"what stands for a concept at layer '{at.name}' is told by examples of each, and there are none"
        )
    return _at_a_layer(model, at, concepts, seeking)


def _at_a_layer(model: Model, at: Layer, concepts: Concepts, seeking: Seeking) -> Sought:
    pooling: features.Pooling = "class" if seeking == "class_token" else "none" if seeking == "neuron" else "mean"
    wanted = Read(at.name, pooling)
    seen = read(model, concepts.images, [wanted])[wanted].whole().double()  # [N, C] or [N, C, *cells]
    present = concepts.present.to(seen.device)
    for number, name in enumerate(concepts.names):
        if present[:, number].all() or not present[:, number].any():
            raise InputError(f"examples with and without concept '{name}' are needed to find what stands for it")
    if seeking in ("dot", "cosine", "dotcos"):
        vectors, bias = _differences(seen, present)
        directions = Directions(vectors.float(), bias.float(), at.name, pooling)
        return Sought(Objective(at.name, vectors.to(precision(model)), along(at, pooling, seeking)), directions)
    return _channels(at, seen, present, seeking, pooling)


def _channels(at: Layer, seen: Tensor, present: Tensor, seeking: Seeking, pooling: features.Pooling) -> Sought:
    channels = telling(middle(seen), present)  # [K]
    vectors = torch.zeros(len(channels), *seen.shape[1:], device=seen.device)
    middle(vectors)[torch.arange(len(channels)), channels] = 1  # without cells, all there is
    zero = torch.zeros(len(channels), device=seen.device)
    directions = Directions(vectors, zero, at.name, pooling, {"channel": channels})
    reading = neuron(at) if seeking == "neuron" else channel(at, pooling)
    return Sought(Objective(at.name, channels, reading), directions)


def telling(seen: Tensor, present: Tensor) -> Tensor:
    """Return for each concept [N, K] the channel of features [N, C] that ranks images with it highest [K] long.

    Measured by the area under the ROC curve, ties shared; of equals the first.

    >>> telling(torch.tensor([[0.0, 9.0], [1.0, 0.0]]), torch.tensor([[False], [True]]))
    tensor([0])
    """
    ranks = torch.as_tensor(rankdata(seen.cpu().numpy(), axis=0))  # [N, C]
    shown = present.cpu().double()
    count = shown.sum(0)[:, None]  # [K, 1]
    area = (shown.T @ ranks / count - (count + 1) / 2) / (len(seen) - count)  # [K, C]
    return area.argmax(1).to(seen.device)


def _differences(seen: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
    """Return unit vectors from the mean features without each concept to those with it, and the bias half way."""
    ends = torch.stack([seen[present[:, k]].mean(0) for k in range(present.shape[1])])
    starts = torch.stack([seen[~present[:, k]].mean(0) for k in range(present.shape[1])])
    difference = ends - starts
    return explanations.normalised(difference, -(difference * (starts + ends) / 2).flatten(1).sum(1))


def _check(units: Tensor, model: Model) -> None:
    black = torch.zeros(1, *model.input_shape, device=model.device, dtype=precision(model))
    count = features.logits(model, black).shape[1]
    for unit in units.tolist():
        if not 0 <= unit < count:
            raise InputError(f"model '{model.name}' has no output unit {unit}; it has units 0 to {count - 1}")
