"""Weights on disk: fp16 safetensors, their digest and the card that describes them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

WEIGHTS = Path(__file__).with_name("weights")
CARDS = Path(__file__).with_name("cards")


def digest_of(state: Mapping[str, Tensor]) -> str:
    """SHA-256 of names, types, shapes and bytes of a state dict, whatever the file around it.

    >>> digest_of({"a": torch.zeros(2)}) == digest_of({"a": torch.zeros(2)}) != digest_of({"a": torch.ones(2)})
    True
    """
    total = hashlib.sha256()
    for name in sorted(state):
        tensor = state[name].detach().cpu().contiguous()
        total.update(f"{name}:{tensor.dtype}:{tuple(tensor.shape)}:".encode())
        total.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return total.hexdigest()


def half(network: nn.Module) -> dict[str, Tensor]:
    """The state dict with its floating-point tensors in fp16."""
    state = network.state_dict()
    return {name: (value.half() if value.is_floating_point() else value).contiguous() for name, value in state.items()}


def write(path: Path, state: Mapping[str, Tensor], about: Mapping[str, Any]) -> None:
    """Write weights with one line of metadata, so that equal weights give equal bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(dict(state), path, metadata={"ambench": json.dumps(dict(about), sort_keys=True)})
    path.chmod(0o644)  # safetensors writes files that only their owner can read


def read(path: Path) -> dict[str, Tensor]:
    """The state dict of a file, as stored."""
    with safe_open(path, framework="pt") as file:
        return {name: file.get_tensor(name) for name in sorted(file.keys())}
