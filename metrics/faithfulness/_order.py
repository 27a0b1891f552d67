"""The places of a map in order of its values; equal ones in an order drawn for each image."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ambench.core import Heatmaps, Randomness, Skipped, Trial
from ambench.finite import refuse_broken


def maps_of(trial: Trial[Heatmaps]) -> Tensor:
    """Return the maps as rows of places [B, T, P]; Skipped where there is but one, InputError for NaN and infinity."""
    found: Tensor = trial.share("maps in rows", lambda: _maps(trial))
    return found


def _maps(trial: Trial[Heatmaps]) -> Tensor:
    maps = trial.explanation.values
    refuse_broken(trial, maps, "map")
    count = math.prod(maps.shape[2:])
    if count < 2:
        raise Skipped(f"maps of inputs {list(trial.case.images.shape[1:])} have one place: nothing to put in order")
    return maps.reshape(*maps.shape[:2], count)


def constant(maps: Tensor) -> Tensor:
    """Return which maps [B, T, …] are the same everywhere [B, T] bool."""
    places = maps.reshape(*maps.shape[:2], math.prod(maps.shape[2:]))
    return places.amax(2) == places.amin(2)


@dataclass(frozen=True, eq=False)
class Order:
    """The places of R maps in order: keys [R, P], no two of which are equal in a map, and the same rising [R, P]."""

    keys: Tensor
    rising: Tensor

    def steps(self, counts: Sequence[int]) -> Tensor:
        """Return at which step each place is reached [R, P], if the first so many, rising counts, are at each; or none.

        >>> keys = torch.tensor([[5, 9, 7, 1]])
        >>> Order(keys, keys.sort().values).steps([0, 1, 3]).tolist()  # 3: never
        [[2, 1, 2, 3]]
        """
        step = torch.zeros_like(self.keys, dtype=torch.int16)
        for count in counts:
            step += 1 if count == 0 else self.keys < self.rising[:, -count, None]
        return step


def hottest_first(trial: Trial[Heatmaps], asked: Tensor) -> Order:
    """Return the order of the R maps `asked` [B, T] bool, found once for all metrics that ask for the same."""
    key = ("hottest first", tuple(asked.flatten().tolist()))
    found: Order = trial.share(key, lambda: _order(trial, maps_of(trial), asked))
    return found


def coldest_first(trial: Trial[Heatmaps], asked: Tensor) -> Order:
    """Return the order of the same maps with their sign turned."""
    return _order(trial, -maps_of(trial), asked)


def _order(trial: Trial[Heatmaps], maps: Tensor, asked: Tensor) -> Order:
    keys = ranked(maps[asked], ties(trial.case.ids, maps.shape[2]).to(maps.device)[asked.nonzero()[:, 0]])
    return Order(keys, _sorted(keys))


def ties(images: tuple[str, ...], count: int) -> Tensor:
    """Return a number below 2^32 for each place of each image [B, P], no two of an image equal, in random order.

    It is the same whatever the method, the model and the seed. The last bits are the place's own number.
    """
    bits = math.ceil(math.log2(count))
    drawn = (Randomness(("faithfulness", "ties"), images).uniform(count) * (1 << 32 - bits)).long()
    return drawn * (1 << bits) + torch.arange(count)


def ranked(maps: Tensor, ties: Tensor) -> Tensor:
    """Return keys [R, P] long that are in the order of the values of maps [R, P], equal ones in that of `ties` [R, P].

    >>> ranked(torch.tensor([[0.5, -0.0, 0.0, -9.0]]), torch.tensor([[1, 3, 2, 0]])).argsort().tolist()
    [[3, 2, 1, 0]]
    """
    bits = (maps.float() + 0.0).view(torch.int32)  # zero has one sign; positive values are in the order of their bits
    order = bits.bitwise_xor_(bits >> 31 & 0x7FFFFFFF)  # negative ones in the reverse of it
    return order.long().mul_(2**32).add_(ties)


def _sorted(keys: Tensor) -> Tensor:
    """Return the keys of each row in rising order; numpy does without the indices."""
    if keys.device.type == "cpu":
        return torch.from_numpy(np.sort(keys.numpy(), axis=1))
    return keys.sort(dim=1).values
