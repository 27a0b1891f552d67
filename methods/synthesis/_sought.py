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
OF_CHANNELS = ("channel", "neuron", "class_token")


@dataclass(frozen=True, eq=False)
class Sought:
    """An objective with a target for each concept, and the directions these are (None: they are output units)."""

    objective: Objective
    directions: Directions | None = None


def sought(
    model: Model, units: Tensor, concepts: Concepts, seeking: Seeking, layer: str | None, first: int | None = None
) -> Sought:
    """Return what to seek for units [K]; concept k of the examples belongs to unit k.

    `logit` and `probability` are the unit's own. `channel` (mean over cells), `neuron` (the middle cell) and
    `class_token` take, of a layer's channels, number `first` + k, or without `first` the one by which images with the
    concept are best told from those without it. `dot`, `cosine` and `dotcos` follow the difference of mean features
    between the two (pattern_cav's direction). Raises InputError for a unit or channel that is not there, or where
    examples are missing.
    """
    if seeking in OF_UNITS:
        _check(units, model)
        reading = logit if seeking == "logit" else log_probability(model.class_units)
        return Sought(Objective(None, units.to(model.device), reading))
    at = model.at(layer)
    if first is not None and seeking in OF_CHANNELS:
        return _numbered(model, at, torch.arange(first, first + len(units)), seeking)
    if len(units) != len(concepts.names) or not len(concepts):
        raise InputError(f"what stands for a concept at layer '{at.name}' is told by examples, and there are none")
    return _told_by_examples(model, at, concepts, seeking)


def _numbered(model: Model, at: Layer, channels: Tensor, seeking: Seeking) -> Sought:
    black = torch.zeros(1, *model.input_shape, device=model.device, dtype=precision(model))
    seen = features.pooled(at, features.output(model, black, at.name), _pooling(seeking))
    if channels[0] < 0 or channels[-1] >= seen.shape[1]:
        wrong = int(channels[0] if channels[0] < 0 else channels[-1])
        raise InputError(f"layer '{at.name}' has no channel {wrong}; it has channels 0 to {seen.shape[1] - 1}")
    return _channels(at, seen, channels.to(model.device), seeking)


def _told_by_examples(model: Model, at: Layer, concepts: Concepts, seeking: Seeking) -> Sought:
    wanted = Read(at.name, _pooling(seeking))
    seen = read(model, concepts.images, [wanted])[wanted].whole().double()  # [N, C] or [N, C, *cells]
    present = concepts.present.to(seen.device)
    for number, name in enumerate(concepts.names):
        if present[:, number].all() or not present[:, number].any():
            raise InputError(f"examples with and without concept '{name}' are needed to find what stands for it")
    if seeking in OF_CHANNELS:
        return _channels(at, seen, telling(middle(seen), present), seeking)
    vectors, bias = _differences(seen, present)
    directions = Directions(vectors.float(), bias.float(), at.name, wanted.pooling)
    return Sought(Objective(at.name, vectors.to(precision(model)), along(at, wanted.pooling, seeking)), directions)


def _pooling(seeking: Seeking) -> features.Pooling:
    return "class" if seeking == "class_token" else "none" if seeking == "neuron" else "mean"


def _channels(at: Layer, like: Tensor, channels: Tensor, seeking: Seeking) -> Sought:
    """Return what seeks some channels [K] of features like these [N, C] or [N, C, *cells]."""
    vectors = torch.zeros(len(channels), *like.shape[1:], device=like.device)
    middle(vectors)[torch.arange(len(channels)), channels] = 1  # without cells, all there is
    zero = torch.zeros(len(channels), device=like.device)
    directions = Directions(vectors, zero, at.name, _pooling(seeking), {"channel": channels})
    reading = neuron(at) if seeking == "neuron" else channel(at, _pooling(seeking))
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
