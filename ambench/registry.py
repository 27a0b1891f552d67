"""Finds plugins by file name: methods, metrics and datasets, ours, other packages', and those in a file of yours.

A plugin is the one public class of its kind in a module of the same name. Other packages add theirs through the entry
point groups `ambench.methods`, `ambench.metrics` and `ambench.datasets`; `python:MODULE_OR_FILE:CLASS` names one
directly. `captum:CLASS`, `grad-cam:CLASS` and `python:MODULE_OR_FILE:FUNCTION` are methods that `adapters` makes.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import json
import pkgutil
import sys
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, cast, get_type_hints

from pydantic import TypeAdapter, ValidationError

from ambench import adapters
from ambench.core import Dataset, InputError, Method, Metric, nearest

Kind = Literal["methods", "metrics", "datasets"]
IN_FOLDERS = ("folder", "cue_conflict_folder", "ucr", "table")  # datasets whose first setting is a path
_BASES: Mapping[Kind, type[Any]] = {"methods": Method, "metrics": Metric, "datasets": Dataset}


@cache
def names(kind: Kind) -> Mapping[str, type[Any]]:
    """Return every registered plugin of a kind: name -> class, sorted by name.

    >>> "gradcam" in names("methods")
    True
    """
    found = {name: plugin_class(module, kind) for name, module in _own_modules(kind).items()}
    for entry in entry_points(group=f"ambench.{kind}"):
        found[entry.name] = entry.load()
    return dict(sorted(found.items()))


def load(kind: Kind, spec: str) -> Any:
    """Return the plugin that `NAME[:setting=value,…]` describes; raises InputError with the nearest valid name.

    >>> load("methods", "gradcam:relu=false").relu
    False
    """
    name, settings = split(spec, kind)
    return build(find(kind, name), settings, name)


def split(spec: str, kind: Kind = "methods") -> tuple[str, dict[str, str]]:
    """Return a spec's name and its settings as text; the first setting of a dataset in a folder is its path.

    >>> split("gradcam:layer=layer3,relu=false")
    ('gradcam', {'layer': 'layer3', 'relu': 'false'})
    """
    if spec.startswith("python:"):
        place, _, rest = spec[len("python:") :].rpartition(":")
        class_name, _, text = rest.partition(",")
        return f"python:{place}:{class_name}", _settings(text, spec)
    name, _, text = spec.partition(":")
    if kind == "methods" and name in adapters.SOURCES:
        class_name, _, text = text.partition(",")
        return f"{name}:{class_name}", _settings(text, spec)
    if kind == "datasets" and name in IN_FOLDERS:
        path, _, text = text.partition(",")
        return name, {"path": path} | _settings(text, spec)
    return name, _settings(text, spec)


def find(kind: Kind, name: str) -> type[Any]:
    """Return the class of a plugin by name."""
    if name.startswith("python:"):
        return _from_place(kind, name)
    if kind == "methods" and name.partition(":")[0] in adapters.SOURCES:
        return adapters.find(name)
    known = names(kind)
    if name not in known:
        raise InputError(f"there is no {kind[:-1]} '{name}'; {nearest(name, known)}")
    return known[name]


def build(plugin: type[Any], settings: Mapping[str, Any], name: str = "") -> Any:
    """Return an instance with the settings checked and converted by their field's type."""
    valid = [f.name for f in fields(plugin) if f.init] if is_dataclass(plugin) else []
    for key in settings:
        if key not in valid:
            raise InputError(f"'{name}' has no setting '{key}'; {nearest(key, valid)}")
    try:
        return TypeAdapter(plugin).validate_python(_decode(plugin, settings))
    except ValidationError as error:
        problem = error.errors()[0]
        if problem["type"].startswith("missing"):
            raise InputError(f"'{name}' needs the setting '{problem['loc'][-1]}'") from None
        if problem["type"] == "value_error":  # the plugin's own sentence
            raise InputError(f"'{name}': {problem['ctx']['error']}") from None
        place = ".".join(map(str, problem["loc"]))
        raise InputError(f"'{name}': setting {place}={problem['input']!r} is not right: {problem['msg']}") from None


def name_of(plugin: Any) -> str:
    """Return the plugin's name: its file's name, or `python:MODULE:CLASS` for one from elsewhere."""
    cls = plugin if isinstance(plugin, type) else type(plugin)
    if issubclass(cls, adapters.ForeignMethod):
        return cls.adapts
    module = cls.__module__
    own = any(module.startswith(f"ambench.{kind}.") for kind in _BASES)
    if own:
        return module.rsplit(".", 1)[-1]
    listed = (name for kind in _BASES for name, known in names(kind).items() if known is cls)
    return next(listed, f"python:{module}:{cls.__name__}")


def settings_of(plugin: Any) -> dict[str, Any]:
    """Return a plugin's settings, by field name, as JSON would hold them."""
    values = {f.name: getattr(plugin, f.name) for f in fields(plugin) if f.init}
    return json.loads(json.dumps(values, default=str))  # type: ignore[no-any-return]


def spec_of(plugin: Any) -> str:
    """Return the shortest `NAME[:setting=value,…]` that describes an instance: defaults are left out.

    The path of a dataset in a folder stands without its setting's name.
    """
    name = name_of(plugin)
    defaults = {f.name: f.default for f in fields(plugin)}
    changed = {k: v for k, v in settings_of(plugin).items() if v != json.loads(json.dumps(defaults[k], default=str))}
    bare = "path" if name in IN_FOLDERS else ""
    text = ",".join(_text(value) if key == bare else f"{key}={_text(value)}" for key, value in changed.items())
    return name + (f"{',' if ':' in name else ':'}{text}" if text else "")


def code_digest(plugin: Any) -> str:
    """Return 12 hex digits of the files that make a plugin: its own, and its folder's shared `_*.py`.

    Of an adapted method these are the other code's file and those of `adapters`.
    """
    cls: type[Any] = plugin if isinstance(plugin, type) else type(plugin)
    adapted = issubclass(cls, adapters.ForeignMethod)
    source = _source_file(cls.source if adapted else cls)
    if source is None:
        return "none"
    shared = Path(adapters.__file__).parent.glob("*.py") if adapted else source.parent.glob("_*.py")
    digest = hashlib.sha256(source.read_bytes())
    for path in sorted(shared):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def _source_file(thing: Any) -> Path | None:
    """Return the file in which a class or function was written; None for one typed at a prompt."""
    try:
        path = Path(inspect.getsourcefile(thing) or "")
    except TypeError:
        return None
    return path if path.is_file() else None


def plugin_class(module: ModuleType, kind: Kind) -> type[Any]:
    """Return the one concrete public class of a kind that a module defines."""
    own = [c for c in vars(module).values() if inspect.isclass(c) and c.__module__ == module.__name__]
    found = [c for c in own if issubclass(c, _BASES[kind]) and not inspect.isabstract(c) and c.__name__[0] != "_"]
    if len(found) != 1:
        raise InputError(f"{module.__name__} must define one {kind[:-1]} class; it defines {len(found)}")
    return found[0]


def _own_modules(kind: Kind) -> dict[str, ModuleType]:
    package = importlib.import_module(f"ambench.{kind}")
    walk = pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
    deep = 1 if kind == "datasets" else 2  # datasets lie flat; methods and metrics in a folder each
    plugins = [m.name for m in walk if not m.ispkg and m.name.count(".") == deep + 1]
    return {n.rsplit(".", 1)[-1]: importlib.import_module(n) for n in plugins if "._" not in n}


def _from_place(kind: Kind, name: str) -> type[Any]:
    place, _, class_name = name[len("python:") :].rpartition(":")
    module = module_at(place)
    found = getattr(module, class_name, None)
    if inspect.isclass(found) and issubclass(found, _BASES[kind]):
        return found
    if kind == "methods" and inspect.isfunction(found):
        return adapters.function(found, name)
    valid = [n for n, c in vars(module).items() if inspect.isclass(c) and issubclass(c, _BASES[kind])]
    if kind == "methods":
        valid += [n for n, f in vars(module).items() if inspect.isfunction(f) and f.__module__ == module.__name__]
    raise InputError(f"'{place}' has no {kind[:-1]} class '{class_name}'; {nearest(class_name, valid)}")


@cache
def module_at(place: str) -> ModuleType:
    """Return the module at a place: a dotted name, or the path of a .py file; raises InputError with the reason."""
    try:
        if not place.endswith(".py"):
            return importlib.import_module(place)
        loader = SourceFileLoader(f"ambench_file_{Path(place).stem}", place)
        spec = importlib.util.spec_from_loader(loader.name, loader)
        module = importlib.util.module_from_spec(cast(ModuleSpec, spec))
        sys.modules[module.__name__] = module
        loader.exec_module(module)
    except (ImportError, OSError, SyntaxError) as error:
        raise InputError(f"'{place}' cannot be imported: {error}") from None
    return module


def _settings(text: str, spec: str) -> dict[str, str]:
    pairs = [part.partition("=") for part in text.split(",") if part]
    for key, equals, _ in pairs:
        if not equals:
            raise InputError(f"in '{spec}', '{key}' is not setting=value")
    return {key.strip(): value.strip() for key, _, value in pairs}


def _decode(plugin: type[Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Text 'none' is None, and '+' separates the items of a tuple; the rest is converted by the field's type."""
    types = {name: str(kind) for name, kind in get_type_hints(plugin).items()}  # names of types resolved
    tuples = {name for name, kind in types.items() if "tuple" in kind}
    words = {name for name, kind in types.items() if "'none'" in kind}  # a Literal with a choice of that name
    return {k: v if v == "none" and k in words else _plain(v, k in tuples) for k, v in settings.items()}


def _plain(value: Any, is_tuple: bool) -> Any:
    if not isinstance(value, str):
        return value
    if value.lower() == "none":
        return None
    return tuple(value.split("+")) if is_tuple else value


def _text(value: Any) -> str:
    if isinstance(value, list):
        return "+".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)
