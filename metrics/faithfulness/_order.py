"""The places of a map in order of its values; equal ones in an order drawn for each image."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ambench.core import Heatmaps, Randomness, Skipped, Trial
from ambench.finite import refuse_broken


def maps_of(trial: Trial[Heatmaps]) -> Tensor:
    """Return the maps as rows of places [B, T, P]; Skipped where there is but one, InputError for NaN and infinity."""
    maps = trial.explanation.values
    refuse_broken(trial, maps, "map")
    count = math.prod(maps.shape[2:])
    if count < 2:
        raise Skipped(f"maps of inputs {list(trial.case.images.shape[1:])} have one place: nothing to put in order")
    return maps.reshape(*maps.shape[:2], count)


def hottest_first(trial: Trial[Heatmaps]) -> Tensor:
    """Return each place's position [B, T, P], 0 for the hottest, found once for all metrics that ask."""
    found: Tensor = trial.share("hottest first", lambda: positions(maps_of(trial), shuffles(trial)))
    return found


def coldest_first(trial: Trial[Heatmaps]) -> Tensor:
    """Return each place's position [B, T, P], 0 for the coldest: that of the map with its sign turned."""
    return positions(-maps_of(trial), shuffles(trial))


def shuffles(trial: Trial[Heatmaps]) -> Tensor:
    """Return a permutation of the places for each image [B, P], the same whatever the method, model and seed."""
    count = maps_of(trial).shape[2]
    draws = Randomness(("faithfulness", "ties"), trial.case.ids).uniform(count)
    return draws.argsort(dim=1, stable=True).to(trial.explanation.values.device)


def positions(maps: Tensor, shuffled: Tensor) -> Tensor:
    """Return each place's position [B, T, P] among falling values; equal values in the order of `shuffled` [B, P].

    >>> positions(torch.tensor([[[5.0, 9.0, 5.0]]]), torch.tensor([[2, 0, 1]])).tolist()
    [[[2, 0, 1]]]
    """
    shuffled = shuffled.unsqueeze(1).expand_as(maps)
    order = maps.gather(2, shuffled).argsort(dim=2, descending=True, stable=True)
    order = shuffled.gather(2, order)  # [B, T, P]: which place comes first, second, …
    numbers = torch.arange(maps.shape[2], device=maps.device).expand_as(order)
    return torch.empty_like(order).scatter(2, order, numbers)


def constant(maps: Tensor) -> Tensor:
    """Return which maps [B, T, …] are the same everywhere [B, T] bool."""
    places = maps.reshape(*maps.shape[:2], math.prod(maps.shape[2:]))
    return places.amax(2) == places.amin(2)
