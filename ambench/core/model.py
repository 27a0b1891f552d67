"""A network with its names: what its outputs mean and where its features are read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ambench.core.errors import InputError, nearest


@dataclass(frozen=True, eq=False)
class Layer:
    """A module of a network and the view of its output as a grid of cells [B, C, *cells].

    Transformers drop their prefix tokens in `as_grid`; channels-last networks permute there. `as_class` returns the
    class token [B, C] of a layer that has one.
    """

    name: str
    module: nn.Module
    as_grid: Callable[[Tensor], Tensor]
    as_class: Callable[[Tensor], Tensor] | None = None


@dataclass(frozen=True, eq=False)
class Model:
    """A network with its names: what its outputs mean and where its features are read.

    `network` maps inputs [B, *input_shape] in [0, 1] to logits [B, U] (normalisation is inside) and is in eval mode;
    series may be in units of their own, those of the examples (`Concepts.bounds`).
    `units` maps concept or class name to output unit; `classes` names the mutually exclusive class outputs, in
    the order of the units `class_units`; `weights` is a digest or tag and goes into every record.
    """

    name: str
    weights: str
    network: nn.Module
    units: Mapping[str, int]
    layers: Mapping[str, Layer]
    layer: str
    input_shape: tuple[int, ...]
    classes: tuple[str, ...] = ()

    @property
    def class_units(self) -> tuple[int, ...]:
        """The output units of `classes`."""
        return tuple(self.units[name] for name in self.classes)

    @property
    def device(self) -> torch.device:
        """Where the network's first parameter lies."""
        return next((p.device for p in self.network.parameters()), torch.device("cpu"))

    def at(self, layer: str | None) -> Layer:
        """Return a layer by name (None: the default); raises InputError with the nearest name."""
        name = layer or self.layer
        if name not in self.layers:
            raise InputError(f"model '{self.name}' has no layer '{name}'; {nearest(name, self.layers)}")
        return self.layers[name]
