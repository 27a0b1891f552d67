"""The attributions of captum as methods: `captum:CLASS`, its arguments as settings (Kokhlikyan et al. 2020)."""

from __future__ import annotations

import importlib
import inspect
import sys
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from ambench import features
from ambench.adapters.foreign import ForeignMethod
from ambench.adapters.signatures import method_class, settings_of
from ambench.core import Concepts, InputError, Layer, Model, Skipped, nearest

BASELINES = 16  # examples at most, where captum wants a distribution of baselines

# Arguments that are ours to give, or that would change what comes back.
_OURS = {
    *("forward_func", "model", "layer", "inputs", "target", "baselines", "feature_mask", "additional_forward_args"),
    *("device_ids", "show_progress", "verbose", "return_convergence_delta", "return_input_shape"),
}


@dataclass(frozen=True)
class CaptumMethod(ForeignMethod):
    """One of captum's attributions, made anew for each network (arXiv 2009.07896).

    Where it takes them: `layer` (None: the model's default), `baselines` (`black`, or the examples' `mean` colour; the
    `examples` themselves where captum wants a distribution, which is their default), and `cells` of side by side
    pixels that count as one feature, so many to a side (None: each value is one).
    """

    citation = "Kokhlikyan et al. 2020, arXiv 2009.07896"
    bound: ClassVar[Any] = None  # an instance that somebody made for one network

    def explain(self, model: Model, images: Tensor, units: Tensor, concepts: Concepts) -> object:
        """Return captum's attributions of one unit of each image."""
        at_a_layer = self.bound is None and _takes(self.source.__init__, "layer")
        layer = model.at(getattr(self, "layer", None)) if at_a_layer else None
        modules = [model.network] if layer is None else [model.network, layer.module]
        method = self.bound or self.source(*modules, **self._given(self.source.__init__))
        if _network(method) is not model.network:
            raise InputError(f"this {self.adapts} was made for another network than '{model.name}'; hand in its class")
        asked: dict[str, Any] = {"target": units, **self._given(self.source.attribute)}
        if _takes(self.source.attribute, "baselines"):
            asked["baselines"] = self._baseline(images, concepts)
        if _takes(self.source.attribute, "feature_mask"):
            asked["feature_mask"] = _mask(images, getattr(self, "cells", None))
        values = method.attribute(images, **asked)
        return values if layer is None else self._on_a_grid(values, model, layer, images)

    def _given(self, function: Any) -> dict[str, Any]:
        names = inspect.signature(function).parameters.keys() - _OURS
        return {name: getattr(self, name) for name in names if hasattr(self, name)}

    def _baseline(self, images: Tensor, concepts: Concepts) -> Tensor:
        """Return one baseline [1, *input], or several where captum wants a distribution of them."""
        wanted = getattr(self, "baselines", "black")
        if wanted == "examples":
            if len(concepts) < 2:
                raise Skipped(f"'{self.adapts}' wants examples for baselines, and there are {len(concepts)}")
            return concepts.images[:: -(-len(concepts) // BASELINES)].to(images)
        colour = concepts.mean.to(images) if wanted == "mean" else images.new_zeros(images.shape[1])
        count = 2 if _requires(self.source.attribute, "baselines") else 1
        return colour.view(-1, *[1] * (images.ndim - 2)).expand(count, *images.shape[1:]).clone()

    def _on_a_grid(self, values: object, model: Model, layer: Layer, images: Tensor) -> object:
        """Return a layer's attributions as a grid; captum itself takes the second axis for channels."""
        output = features.output(model, images[:1].detach(), layer.name)
        if isinstance(values, Tensor) and values.shape[1:] == output.shape[1:]:
            return layer.as_grid(values)
        if layer.as_grid(output).shape != output.shape:
            raise Skipped(
                f"'{self.adapts}' takes the second axis for channels, and layer '{layer.name}' has tokens there"
            )
        return values


@cache
def find(class_name: str) -> type[CaptumMethod]:
    """Return an attribution of captum by its class's name; raises InputError with the nearest that can be asked."""
    known = {
        name: attribution
        for name, attribution in vars(importlib.import_module("captum.attr")).items()
        if inspect.isclass(attribution) and issubclass(attribution, _base()) and hasattr(attribution, "attribute")
    }
    if class_name not in known:
        raise InputError(f"captum has no attribution '{class_name}'; {nearest(class_name, known)}")
    return method_of(known[class_name])


def adapt(thing: Any) -> type[CaptumMethod] | None:
    """Return one of captum's classes or instances as a method; None for anything else."""
    if "captum.attr" not in sys.modules:
        return None
    if inspect.isclass(thing):
        return method_of(thing) if issubclass(thing, _base()) else None
    return method_of(type(thing), thing) if isinstance(thing, _base()) else None


def method_of(attribution: Any, bound: Any = None) -> type[CaptumMethod]:
    """Return a class of captum as a method, its constructor's and `attribute`'s arguments as settings."""
    name = f"captum:{attribution.__name__}"
    if not _takes(attribution.attribute, "target"):
        raise InputError(f"'{name}' takes no target, so it cannot explain an output unit")
    made = {} if bound is not None else dict(settings_of(attribution.__init__, _OURS, name))
    settings = made | dict(settings_of(attribution.attribute, _OURS, name))
    if _takes(attribution.__init__, "layer") and bound is None:
        settings["layer"] = (str | None, None)
    if _requires(attribution.attribute, "baselines"):
        settings["baselines"] = (Literal["examples", "black", "mean"], "examples")
    elif _takes(attribution.attribute, "baselines"):
        settings["baselines"] = (Literal["black", "mean"], "black")
    if _takes(attribution.attribute, "feature_mask"):
        settings["cells"] = (int | None, None)
    known = {"adapts": name, "source": attribution, "bound": bound, "__module__": __name__}
    if _requires(attribution.attribute, "baselines"):
        known["supervision"] = "contrast images"
    return method_class(CaptumMethod, attribution.__name__, settings, known)


def _base() -> type[Any]:
    base: type[Any] = importlib.import_module("captum.attr").Attribution
    return base


def _takes(function: Any, name: str) -> bool:
    return name in inspect.signature(function).parameters


def _requires(function: Any, name: str) -> bool:
    parameter = inspect.signature(function).parameters.get(name)
    return parameter is not None and parameter.default is parameter.empty


def _network(attribution: Any) -> object:
    return getattr(attribution, "model", getattr(attribution, "forward_func", None))


def _mask(images: Tensor, cells: int | None) -> Tensor | None:
    """Return the number of each value's feature [1, 1, *extent]: `cells` to a side; None: every value its own."""
    if cells is None:
        return None
    extent = images.shape[2:]
    number = torch.zeros(extent, dtype=torch.long, device=images.device)
    for axis, side in enumerate(extent):
        place = torch.arange(side, device=images.device) * cells // side
        number = number * cells + place.view(-1, *[1] * (len(extent) - 1 - axis))
    return number.expand(1, 1, *extent)
