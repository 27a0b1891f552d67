"""Settings from signatures: the arguments of other people's code that text can describe, as fields of a method."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping
from dataclasses import MISSING, field, make_dataclass
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from ambench.core import InputError

Settings = Mapping[str, tuple[Any, Any]]  # name -> type, default (MISSING: it must be given)
M = TypeVar("M")
_SIMPLE = (bool, int, float, str)


def settings_of(function: Callable[..., Any], ours: Collection[str], name: str) -> Settings:
    """Return the settings that a function takes beside the arguments that are ours to give.

    Arguments that no text describes keep their defaults; InputError for one that has none.

    >>> def blur(network, inputs, targets, width: int = 3, sizes: tuple[int, ...] | None = None, mask=None): ...
    >>> settings_of(blur, ("network", "inputs", "targets"), "blur")
    {'width': (<class 'int'>, 3), 'sizes': (tuple[int, ...] | None, None)}
    """
    found = {}
    hints = _hints(function)
    for key, parameter in inspect.signature(function).parameters.items():
        if key in ours or key == "self" or parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
            continue
        required = parameter.default is parameter.empty
        kind = _kind(hints.get(key, parameter.empty), parameter.default)
        if kind is not None:
            found[key] = (kind, MISSING if required else parameter.default)
        elif required:
            raise InputError(
                f"'{name}' needs '{key}', which no setting describes; ask for it by a function of yours instead: "
                "python:FILE:FUNCTION"
            )
    return found


def method_class(base: type[M], name: str, settings: Settings, known: Mapping[str, Any]) -> type[M]:
    """Return a frozen dataclass of a base class with these settings as fields and `known` as class attributes."""
    fields = [(key, kind, field(default=default)) for key, (kind, default) in settings.items()]
    made: type[M] = make_dataclass(name, fields, bases=(base,), namespace=dict(known), frozen=True, kw_only=True)
    return made


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    try:
        return get_type_hints(function)
    except (NameError, TypeError):  # types that are there for checkers only
        return {}


def _kind(annotation: Any, default: Any) -> Any:
    """Return the type of a setting; None for one that text cannot give."""
    if get_origin(annotation) is Literal:
        return annotation
    if type(default) in _SIMPLE:
        return annotation if annotation in _SIMPLE else type(default)
    choices = get_args(annotation) if get_origin(annotation) in (Union, type(int | None)) else (annotation,)
    tuples = [tuple[int, ...] for choice in choices if get_args(choice) == (int, ...)]
    kind = next(iter([*tuples, *(simple for simple in _SIMPLE if simple in choices)]), None)
    return kind | None if kind is not None and default is None else kind
