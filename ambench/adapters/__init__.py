"""Other people's explanations as methods: captum's, pytorch-grad-cam's, and any function, with no subclass.

By name: `captum:CLASS`, `grad-cam:CLASS` and `python:FILE:FUNCTION`, settings behind it, separated by commas. By
object: the class, an instance made for the network that is explained, or the function itself.
"""

from __future__ import annotations

import inspect
from typing import Any

from ambench.adapters import from_captum, from_function, from_grad_cam
from ambench.adapters.foreign import ForeignMethod as ForeignMethod

SOURCES = ("captum", "grad-cam")


def find(name: str) -> type[ForeignMethod]:
    """Return the method of a name such as `captum:Saliency`; raises InputError with the nearest class.

    >>> find("captum:Saliency")().abs
    True
    """
    source, _, class_name = name.partition(":")
    return {"captum": from_captum.find, "grad-cam": from_grad_cam.find}[source](class_name)


def adapt(thing: Any) -> ForeignMethod | None:
    """Return somebody else's class, instance or function as a method with its usual settings; None if it is none.

    >>> def brightness(network, inputs, targets):
    ...     return inputs.mean(1)
    >>> adapt(brightness).adapts
    'python:ambench.adapters:brightness'
    """
    for known in (from_captum.adapt, from_grad_cam.adapt):
        method = known(thing)
        if method is not None:
            return method()
    if not inspect.isroutine(thing):
        return None
    return function(thing, f"python:{thing.__module__}:{thing.__qualname__}")()


def function(thing: Any, name: str) -> type[ForeignMethod]:
    """Return a function `(network, inputs, targets, setting=…) -> maps` as a method of that name."""
    return from_function.method_of(thing, name)
