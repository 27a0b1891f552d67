"""What cells share: activations that one of them reads are read for all that will want them, and small numbers."""

from __future__ import annotations

import json
import shutil
from collections import OrderedDict
from collections.abc import Hashable, Iterator, MutableMapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from ambench.activations import Read, digest, keeping
from ambench.core import Case, Model, ProbeMethod
from ambench.plan import Cell, Given
from ambench.workbench import resolve_model

FOLDER = "activations"
CASES = 64  # whose numbers are kept at a time

_lasting: OrderedDict[Hashable, MutableMapping[Hashable, Any]] = OrderedDict()


@contextmanager
def activations_of(cell: Cell, folder: Path | None, given: Given) -> Iterator[None]:
    """Keep the activations that a cell reads in the run's folder, and read those along that other cells will want."""
    if folder is None:
        yield
        return
    with keeping(folder / FOLDER, _wanted(cell, folder, given)):
        yield


def forget_activations(folder: Path) -> None:
    """Remove the activations of a run that is over: they are large, and made again at any time."""
    shutil.rmtree(folder / FOLDER, ignore_errors=True)


def lasting(model: Model, case: Case) -> MutableMapping[Hashable, Any]:
    """Return a store for what depends on a network and the images and names of a case alone.

    It is this process's, and lasts while the case is among the last 64: cells of other methods find what is in it.
    """
    key = (digest(model, case.images).hexdigest(), case.ids)
    store = _lasting.setdefault(key, {})
    _lasting.move_to_end(key)
    while len(_lasting) > CASES:
        _lasting.popitem(last=False)
    return store


def _wanted(cell: Cell, folder: Path, given: Given) -> tuple[Read, ...]:
    """Return what the probes of all planned cells with the same model and dataset read."""
    methods = _planned(folder).get((cell.model, cell.dataset), ())
    try:
        probes = [given.load("methods", method) for method in methods]
        model = resolve_model(cell.model, cell.device, given)
        return tuple(dict.fromkeys(one for probe in probes for one in _reads(probe, model)))
    except Exception:  # what is wrong with another cell is said in its own row
        return ()


def _reads(probe: object, model: Model) -> tuple[Read, ...]:
    return tuple(Read(*one) for one in probe.reads(model)) if isinstance(probe, ProbeMethod) else ()


@cache
def _planned(folder: Path) -> dict[tuple[str, str], tuple[str, ...]]:
    """The methods of a run's planned cells, by model and dataset; nothing where there is no manifest."""
    found: dict[tuple[str, str], dict[str, None]] = {}
    try:
        for cell in json.loads((folder / "manifest.json").read_bytes())["cells"].values():
            found.setdefault((cell["model"], cell["dataset"]), {})[cell["method"]] = None
    except (OSError, ValueError, KeyError):
        return {}
    return {place: tuple(methods) for place, methods in found.items()}
