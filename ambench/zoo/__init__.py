"""The embedded networks by name: `cnn`, `vit`, their twins that answer by texture, `series-cnn`, and untrained ones."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from ambench.core import InputError, nearest
from ambench.zoo.architectures import initialised
from ambench.zoo.files import WEIGHTS, digest_of, read
from ambench.zoo.specifications import SPECIFICATIONS, Specification

NAMES: tuple[str, ...] = tuple(SPECIFICATIONS)
UNTRAINED_SEED = 0


def specification(name: str) -> Specification:
    """What a name stands for; raises InputError with the nearest name."""
    if name not in SPECIFICATIONS:
        raise InputError(f"there is no embedded model '{name}'; {nearest(name, SPECIFICATIONS)}")
    return SPECIFICATIONS[name]


def network(name: str, file: Path | None = None) -> nn.Module:
    """The network, inputs [B, *input_shape] in [0, 1] -> logits [B, U], fp32 on the CPU, in eval mode.

    `file`: other weights of the same architecture, e.g. of another seed.

    >>> import torch
    >>> network("cnn-untrained")(torch.zeros(2, 3, 64, 64)).shape
    torch.Size([2, 12])
    """
    wanted = specification(name)
    built = initialised(wanted.architecture, len(wanted.units), UNTRAINED_SEED)
    if wanted.trained:
        built.load_state_dict(read(file or WEIGHTS / f"{name}.safetensors"))
    return built.eval()


def units(name: str) -> dict[str, int]:
    """Names of the network's outputs: classes, then concepts; of `series-cnn` waveforms, then events.

    >>> units("vit-texture")["ring"]
    11
    """
    return specification(name).units


def digest(name: str) -> str:
    """SHA-256 of the network's weights as stored, or as initialised."""
    if specification(name).trained:
        return digest_of(read(WEIGHTS / f"{name}.safetensors"))
    return digest_of(network(name).state_dict())
