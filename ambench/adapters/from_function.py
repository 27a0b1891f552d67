"""Any function `(network, inputs, targets, setting=…) -> maps` as a method."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar

from torch import Tensor

from ambench.adapters.foreign import ForeignMethod
from ambench.adapters.signatures import method_class, settings_of
from ambench.core import Concepts, InputError, Model


@dataclass(frozen=True)
class FunctionMethod(ForeignMethod):
    """A function that is given the network, inputs [B, *input] in [0, 1] and an output unit of each [B], in that order.

    It returns maps [B, *cells] or [B, C, *cells] as a tensor or an array, raw and signed. Further arguments with
    defaults are its settings.
    """

    function: ClassVar[tuple[Callable[..., object]]]  # in a tuple, so that it is no method of the class
    keys: ClassVar[tuple[str, ...]]

    def explain(self, model: Model, images: Tensor, units: Tensor, concepts: Concepts) -> object:
        """Return what the function says."""
        return self.function[0](model.network, images, units, **{key: getattr(self, key) for key in self.keys})


@cache
def method_of(function: Callable[..., Any], name: str) -> type[FunctionMethod]:
    """Return a function as a method; raises InputError for one that does not take three arguments, then settings."""
    arguments = [
        key
        for key, parameter in inspect.signature(function).parameters.items()
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
    ]
    if len(arguments) < 3:
        raise InputError(
            f"'{name}' takes ({', '.join(arguments)}); a function that explains takes (network, inputs, targets)"
        )
    settings = settings_of(function, arguments[:3], name)
    known = {
        "adapts": name,
        "source": function,
        "function": (function,),
        "keys": tuple(settings),
        "citation": name,
        "__module__": __name__,
    }
    return method_class(FunctionMethod, function.__name__, settings, known)
