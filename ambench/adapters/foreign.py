"""What all adapted explanations share: one target at a time, everything left as found, and maps of any shape read."""

from __future__ import annotations

import random
from abc import abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor, nn

from ambench import explanations, features
from ambench.core import AttributionMethod, Concepts, Heatmaps, InputError, Model, Randomness, generator


@dataclass(frozen=True)
class ForeignMethod(AttributionMethod):
    """An explanation that other people's code computes.

    It is asked for one target of each image at a time. Code that draws from torch's, numpy's or Python's own chance is
    asked image by image, each seeded by its id, so that no answer depends on the batch. `reduce` joins channels: by
    their `sum`, or the `largest` magnitude.
    """

    stochastic = True  # whether it draws is seen only when it runs
    adapts: ClassVar[str]  # the name by which it is asked for
    source: ClassVar[Any]  # the class or function whose file is its code

    reduce: Literal["sum", "largest"] = "sum"

    @abstractmethod
    def explain(self, model: Model, images: Tensor, units: Tensor, concepts: Concepts) -> object:
        """Return what the other code says of images [B, *input] and units [B]: maps [B, *cells] or [B, C, *cells]."""

    def attribute(
        self, model: Model, images: Tensor, targets: Tensor, concepts: Concepts, randomness: Randomness
    ) -> Heatmaps:
        """Return maps [B, T, *extent], enlarged from cells if need be; a map's score is the mean of its top 5 %.

        Raises InputError for an answer that is no map of these images.
        """
        features.check_targets(model, images, targets, features.logits(model, images[:1]))
        columns = [self._column(model, images, units, concepts, randomness) for units in targets.T]
        maps = torch.stack(columns, 1)  # [B, T, *cells]
        whole = maps if images.ndim == 2 else explanations.upsample(maps, images.shape[2:])
        return Heatmaps(explanations.top_share(maps), whole.float())

    def _column(
        self, model: Model, images: Tensor, units: Tensor, concepts: Concepts, randomness: Randomness
    ) -> Tensor:
        """Return the maps of one target an image [B, *cells]."""

        def ask(rows: slice, *key: str) -> tuple[Tensor, bool]:
            seed = generator(*randomness.key, *key).initial_seed()
            with as_found(model.network), seeded(seed, images.device) as was_drawn:
                given = images[rows].detach().clone().requires_grad_()
                values = self.explain(model, given, units[rows], concepts)
                return self._maps(values, images[rows]), was_drawn()

        maps, drawn = ask(slice(None))
        if not drawn:
            return maps
        names = randomness.ids or tuple(map(str, range(len(images))))
        return torch.cat([ask(slice(row, row + 1), name)[0] for row, name in enumerate(names)])

    def _maps(self, values: object, images: Tensor) -> Tensor:
        """Return what the other code said as maps [B, *cells]."""
        maps = torch.as_tensor(values) if isinstance(values, (Tensor, np.ndarray)) else None
        fits = maps is not None and len(maps) == len(images)
        if maps is None or not fits or maps.ndim not in (images.ndim, max(2, images.ndim - 1)):
            said = type(values).__name__ if maps is None else list(maps.shape)
            raise InputError(
                f"'{self.adapts}' returns {said} for inputs {list(images.shape)}; wanted: maps "
                f"[{len(images)}, *cells] or [{len(images)}, channels, *cells]"
            )
        maps = maps.detach().to(images.device, images.dtype)
        if images.ndim == 2 or maps.ndim < images.ndim:
            return maps
        return maps.sum(1) if self.reduce == "sum" else maps.abs().amax(1)


# ------------------------------------------------------------------------------------------------ as found


@contextmanager
def as_found(network: nn.Module) -> Iterator[None]:
    """Freeze a network, with gradients on; its parameters' own gradients are as found afterwards."""
    kept = [(parameter, parameter.grad) for parameter in network.parameters()]
    with features.frozen(network), torch.enable_grad():
        try:
            yield
        finally:
            for parameter, gradient in kept:
                parameter.grad = gradient


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[Callable[[], bool]]:
    """Seed torch, numpy and Python; yields what says whether any was drawn from since. The last two are put back."""
    numpy_state, python_state = np.random.get_state(), random.getstate()
    try:
        torch.manual_seed(seed)
        np.random.seed(seed % 2**32)
        random.seed(seed)
        before = _states(device)
        yield lambda: _states(device) != before
    finally:
        np.random.set_state(numpy_state)
        random.setstate(python_state)


def _states(device: torch.device) -> tuple[object, ...]:
    on_device = torch.cuda.get_rng_state(device).tolist() if device.type == "cuda" else []
    _, keys, place, *_ = np.random.get_state()
    return torch.get_rng_state().tolist(), on_device, np.asarray(keys).tolist(), place, random.getstate()
