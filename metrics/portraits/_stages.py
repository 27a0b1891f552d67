"""A few layers, evenly spread over the way from a network's input to one of its layers."""

from __future__ import annotations

import math

from ambench.core import Model


def stages(model: Model, last: str, count: int) -> list[str]:
    """Return at most `count` layers up to `last`, which is one of them, in the order in which they run.

    A stage is a layer that holds weights, as large a part of the network as there is, with what follows it up to the
    next such layer; its end is the layer that is named. Where there are fewer stages than wanted, the parts are taken
    apart into theirs. Of more stages than wanted, every n-th is taken, counted from the last.

    >>> from torch import nn
    >>> from ambench.core import Layer
    >>> parts = nn.ModuleDict({"stem": nn.Conv2d(3, 4, 1), "relu": nn.ReLU(), "body": nn.Conv2d(4, 4, 1)})
    >>> layers = {name: Layer(name, module, lambda grid: grid) for name, module in parts.items()}
    >>> stages(Model("toy", "none", parts, {}, layers, "body", (3, 8, 8)), "body", 4)
    ['relu', 'body']
    """
    names = list(model.layers)
    names = names[: names.index(last) + 1]
    parts = _outermost(names, names)
    ends = _ends(model, parts)
    while len(ends) < count and (opened := _opened(parts, names)) != parts:
        parts, ends = opened, _ends(model, opened)
    wanted = min(count, len(ends))
    return [ends[math.ceil(len(ends) * (place + 1) / wanted) - 1] for place in range(wanted)]


def _outermost(names: list[str], among: list[str]) -> list[str]:
    """Return those names that lie in no other of `among`."""
    containers = {f"{name}." for name in among}
    return [name for name in names if not any(name.startswith(container) for container in containers)]


def _opened(parts: list[str], names: list[str]) -> list[str]:
    """Return the parts and what lies in them and in no other part."""
    hidden = [name for name in names if name not in parts]
    found = {*parts, *_outermost(hidden, hidden)}
    return [name for name in names if name in found]


def _ends(model: Model, parts: list[str]) -> list[str]:
    """Return the last part before each but the first that holds weights, and the last of all."""
    ends: list[str] = []
    for place, part in enumerate(parts):
        held = any(parameter.ndim > 1 for parameter in model.at(part).module.parameters())
        around = any(inner.startswith(f"{part}.") for inner in parts[:place])  # it ends with the last of its own parts
        if (held and not around) or not ends:
            ends.append(part)
        ends[-1] = part
    return ends
