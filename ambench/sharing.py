"""What the cells of a run share: activations that one of them reads are read for all that will want them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from ambench.activations import Read, keeping
from ambench.core import Model, ProbeMethod
from ambench.plan import Cell, Given
from ambench.workbench import resolve_model

FOLDER = "activations"


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
