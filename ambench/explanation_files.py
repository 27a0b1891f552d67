"""Explanations as safetensors files: vectors and portraits are worth having, and no other cell need make them again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from ambench.core import Directions, Portraits

KINDS: dict[str, type[Any]] = {kind.__name__: kind for kind in (Portraits, Directions)}


def place(
    folder: Path,
    model: str,
    weights: str,
    method: str,
    dataset: str,
    revision: str,
    seed: int,
    device: str,
    method_code: str,
) -> Path:
    """Return where a run keeps the explanation of a cell; a record has columns of these very names.

    >>> place(Path("run"), "cnn", "w", "cav", "shapes", "1", 0, "cpu", "c").parent.as_posix()
    'run/explanations'
    """
    what = "\x1f".join(map(str, (model, weights, method, dataset, revision, seed, device, method_code)))
    return folder / "explanations" / f"{hashlib.sha256(what.encode()).hexdigest()[:16]}.safetensors"


def write(path: Path, explanation: Portraits | Directions, seconds: float) -> None:
    """Keep an explanation and what it took to make it; the file is there whole or not at all."""
    tensors, notes = _flat(explanation)
    notes["fit_seconds"] = repr(seconds)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(f".{torch.randint(1 << 62, (), generator=torch.Generator()).item():x}.part")
    save_file({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, unfinished, notes)
    unfinished.replace(path)


def read(path: Path | None, device: str) -> tuple[Portraits | Directions, float] | None:
    """Return a kept explanation and its seconds; None where there is none, or one torn by a crash."""
    if path is None or not path.is_file():
        return None
    try:
        with safe_open(path, "pt", device=device) as file:
            notes = file.metadata()
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
        return _whole("", tensors, notes), float(notes["fit_seconds"])
    except (SafetensorError, OSError, KeyError):
        return None


def _flat(explanation: Portraits | Directions, prefix: str = "") -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return an explanation's tensors and everything else as text, by dotted name."""
    tensors: dict[str, Tensor] = {}
    notes = {f"{prefix}kind": type(explanation).__name__}
    for name, value in vars(explanation).items():
        if isinstance(value, Tensor):
            tensors[prefix + name] = value
        elif isinstance(value, Directions):
            inner = _flat(value, f"{prefix}{name}.")
            tensors, notes = tensors | inner[0], notes | inner[1]
        elif name == "details":
            tensors |= {f"{prefix}details.{key}": tensor for key, tensor in value.items()}
        elif name == "missing":
            notes[prefix + name] = json.dumps({str(number): why for number, why in value.items()})
        elif value is not None:
            notes[prefix + name] = value
    return tensors, notes


def _whole(prefix: str, tensors: Mapping[str, Tensor], notes: Mapping[str, str]) -> Any:
    kind = KINDS[notes[f"{prefix}kind"]]
    found: dict[str, Any] = {}
    for name in (field.name for field in fields(kind)):
        key = prefix + name
        if key in tensors:
            found[name] = tensors[key]
        elif f"{key}.kind" in notes:
            found[name] = _whole(f"{key}.", tensors, notes)
        elif name == "details":
            under = f"{key}."
            found[name] = {full.removeprefix(under): t for full, t in tensors.items() if full.startswith(under)}
        elif name == "missing":
            found[name] = {int(number): why for number, why in json.loads(notes[key]).items()}
        elif key in notes:
            found[name] = notes[key]
    return kind(**found)
