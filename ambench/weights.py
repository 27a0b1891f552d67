"""Reading weights from files, without ever running what is in them."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Mapping
from pathlib import Path
from pickle import PROTO, UnpicklingError

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from ambench.core import InputError

SHOWN = 2  # so many wrong keys are named in an error


def load_into(network: nn.Module, path: Path) -> str:
    """Load a file's weights into a network and return their digest; raises InputError with the first wrong keys."""
    state = read(path)
    own = network.state_dict()
    reshaped = [
        f"'{key}' is {list(value.shape)} instead of {list(own[key].shape)}"
        for key, value in state.items()
        if key in own and value.shape != own[key].shape
    ]
    if reshaped:
        raise InputError(f"'{path}' holds the weights of another architecture: {_first(reshaped)}")
    report = network.load_state_dict(state, strict=False)
    wrong = [f"'{key}' is missing" for key in report.missing_keys]
    wrong = wrong[:1] + [f"'{key}' is unexpected" for key in report.unexpected_keys] + wrong[1:]
    if wrong:
        raise InputError(f"'{path}' holds the weights of another architecture: {_first(wrong)}")
    return digest(path)


def read(path: Path) -> dict[str, Tensor]:
    """Return the state dict in a .safetensors file, or in a .pth or .pt file read with weights_only=True."""
    if not path.is_file():
        raise InputError(f"there is no weights file '{path}'; a .safetensors, .pth or .pt file is wanted")
    if path.suffix == ".safetensors":
        try:
            return load_file(path)
        except SafetensorError as error:
            raise InputError(f"'{path}' is no safetensors file, or only part of one: {error}") from error
    if path.suffix not in (".pth", ".pt"):
        raise InputError(f"'{path}' is no weights file; a .safetensors, .pth or .pt file is wanted")
    return _state(_read_torch(path), path)


def digest(path: Path) -> str:
    """Return the first 12 hex digits of a file's SHA-256."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:12]


def _read_torch(path: Path) -> object:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about pickle's version; what matters is said below
            return torch.load(path, map_location="cpu", weights_only=True)
    except UnpicklingError as error:
        with path.open("rb") as file:
            pickled = file.read(1) == PROTO[:1]
        if not pickled and "global" not in str(error).lower():
            raise InputError(f"'{path}' is no weights file, or only part of one") from error
        raise InputError(
            f"'{path}' is a pickle of more than tensors; torch's weights_only refused it, and it is not run: "
            "save the plain state dict, or safetensors"
        ) from error
    except Exception as error:  # bytes that are no weights make the reader stumble in any way
        raise InputError(f"'{path}' is no weights file, or only part of one") from error


def _state(content: object, path: Path) -> dict[str, Tensor]:
    """Return the state dict in a checkpoint: itself, or what it keeps under `state_dict` or `model`."""
    kept: list[object] = [content]
    if isinstance(content, Mapping):
        kept = [content[key] for key in ("state_dict", "model") if isinstance(content.get(key), Mapping)] or kept
    state = kept[0]
    if isinstance(state, Mapping) and state and all(isinstance(value, Tensor) for value in state.values()):
        return {str(key).removeprefix("module."): value for key, value in state.items()}
    raise InputError(f"'{path}' holds no state dict; names with tensors are wanted")


def _first(wrong: list[str]) -> str:
    more = len(wrong) - SHOWN
    return ", ".join(wrong[:SHOWN]) + (f" (and {more} more)" if more > 0 else "")
