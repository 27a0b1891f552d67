"""From a name to a decoder, the network in whose code space portraits climb: the embedded one, or your own.

(Nguyen et al. 2016, arXiv 1605.09304)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, cast

import torch
from torch import Tensor, nn

from ambench import registry
from ambench.core import InputError, nearest
from ambench.weights import load_into
from ambench.zoo import painter
from ambench.zoo.codes import CODE
from ambench.zoo.files import digest_of

Kind = Literal["gaussian", "relu"]
KINDS: tuple[Kind, ...] = ("gaussian", "relu")
NAMES = ("shapes",)
RELU_REACH = 3.0  # standard deviations above the mean that a ReLU code may go


@dataclass(frozen=True, eq=False)
class Decoder:
    """A network with its code space.

    `network` maps codes [N, *code_shape] to images [N, *image_shape]; it is in eval mode, its parameters are frozen
    and the image range is meant to be [0, 1]. `mean` and `std` [*code_shape] are those of the codes of the images it
    learned from, `kind` how they are distributed: `gaussian`, or `relu` for rectified features. `weights` is a
    digest or tag and goes into every record. `encoder`, where there is one, maps images
    [N, *image_shape] in [0, 1] to codes.
    """

    name: str
    weights: str
    network: nn.Module
    code_shape: tuple[int, ...]
    image_shape: tuple[int, ...]
    mean: Tensor
    std: Tensor
    kind: Kind = "gaussian"
    encoder: nn.Module | None = None

    @property
    def bounds(self) -> tuple[Tensor, Tensor]:
        """Lowest and highest code [*code_shape] each: -1 and 1 if gaussian, 0 and mean + 3 std of rectified codes.

        >>> low, high = resolve("shapes").bounds
        >>> low.min().item(), high.max().item()
        (-1.0, 1.0)
        """
        if self.kind == "relu":
            return torch.zeros_like(self.mean), self.mean + RELU_REACH * self.std
        return -torch.ones_like(self.mean), torch.ones_like(self.mean)


# ------------------------------------------------------------------------------------------------ by name


def resolve(name: str, device: str | torch.device = "cpu", channels: int | None = None) -> Decoder:
    """Return a decoder by name, on a device; raises InputError with the nearest name, or with what does not fit.

    Names: the embedded `shapes` (64 x 64 colour pictures), or `shapes@FILE.safetensors` with other weights of the same
    architecture; `python:MODULE_OR_FILE:FACTORY`, a function that returns a Decoder, best made by `wrap`. `channels`:
    of the images that are wanted; a decoder of others is refused.

    >>> decoder = resolve("shapes", channels=3)
    >>> decoder.network(torch.zeros(2, *decoder.code_shape)).shape
    torch.Size([2, 3, 64, 64])
    """
    own, at, file = name.partition("@")
    if name.startswith("python:") and name.count(":") > 1:
        found = _python(name)
    elif own in NAMES:
        found = _embedded(name, file if at else None)
    else:
        raise InputError(f"there is no decoder '{name}'; {nearest(name, [*NAMES, 'python:…'])}")
    if channels is not None and found.image_shape[0] != channels:
        raise InputError(
            f"decoder '{name}' makes images of {found.image_shape[0]} channel(s), and {channels} are wanted"
        )
    return _placed(found, torch.device(device))


def wrap(
    network: nn.Module,
    code_shape: Sequence[int],
    kind: Kind = "gaussian",
    mean: Tensor | None = None,
    std: Tensor | None = None,
    encoder: nn.Module | None = None,
) -> Decoder:
    """Return a Decoder around your network [N, *code_shape] -> [N, C, H, W], tried on two codes.

    `mean` and `std` [*code_shape] of its codes are 0 and 1 where none are given, which rectified codes do not allow.
    InputError: a network that does not take such codes, an output that is not one finite image [C, H, W] a code,
    statistics of another shape.

    >>> wrap(nn.Sequential(nn.Linear(5, 12), nn.Unflatten(1, (3, 2, 2))), (5,)).image_shape
    (3, 2, 2)
    """
    shape = tuple(code_shape)
    if kind not in KINDS:
        raise InputError(f"there is no kind of code '{kind}'; {nearest(kind, KINDS)}")
    if kind == "relu" and (mean is None or std is None):
        raise InputError(
            "a decoder of rectified codes needs their mean and std, from which their highest values follow"
        )
    like = next((p for p in network.parameters()), torch.zeros(()))
    mean = torch.zeros(shape) if mean is None else mean
    std = torch.ones(shape) if std is None else std
    for what, value in (("mean", mean), ("std", std)):
        if tuple(value.shape) != shape:
            raise InputError(f"the decoder's codes are {list(shape)}, and their {what} is {list(value.shape)}")
    mean, std = mean.to(like), std.to(like)
    network.eval().requires_grad_(False)
    made = _tried(network, torch.stack((mean, mean + std)))
    tag = digest_of(network.state_dict())[:12]
    encoder = None if encoder is None else encoder.eval().requires_grad_(False)
    return Decoder(type(network).__name__, tag, network, shape, tuple(made.shape[1:]), mean, std, kind, encoder)


# ------------------------------------------------------------------------------------------------ by source


def _embedded(name: str, file: str | None) -> Decoder:
    network, tag = painter.network(), painter.digest()[:12]
    if file is not None:
        if Path(file).suffix != ".safetensors":
            raise InputError(f"'{file}' is no weights file of a decoder; a .safetensors file is wanted")
        tag = load_into(network, Path(file))
    return replace(wrap(network, (CODE,), mean=network.mean, std=network.std), name=name, weights=tag)


def _python(name: str) -> Decoder:
    place, _, factory_name = name.removeprefix("python:").rpartition(":")
    module = registry.module_at(place)
    factory = getattr(module, factory_name, None)
    if not callable(factory):
        valid = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        raise InputError(f"'{place}' has no function '{factory_name}'; {nearest(factory_name, valid)}")
    made = _made(name, cast(Callable[[], object], factory))
    if not isinstance(made, Decoder):
        raise InputError(f"factory '{name}' returns a {type(made).__name__}; an ambench.decoders.Decoder is wanted")
    again = wrap(made.network, made.code_shape, made.kind, made.mean, made.std, made.encoder)
    return replace(again, name=name, weights=made.weights)


def _made(name: str, factory: Callable[[], object]) -> object:
    try:
        return factory()
    except InputError:
        raise
    except Exception as error:
        said = " ".join(str(error).split())
        raise InputError(f"factory '{name}' failed: {type(error).__name__}: {said}") from error


def _tried(network: nn.Module, codes: Tensor) -> Tensor:
    """Return the images [2, C, H, W] of two codes; raises InputError where they are none."""
    try:
        with torch.no_grad():
            made: object = network(codes)
    except Exception as error:  # any module may stumble in any way
        said = " ".join(str(error).split())
        raise InputError(f"the decoder does not take codes {list(codes.shape)}: {said}") from error
    if not isinstance(made, Tensor) or made.ndim != 4 or len(made) != len(codes):
        given = list(made.shape) if isinstance(made, Tensor) else type(made).__name__
        raise InputError(f"the decoder makes {given} of codes {list(codes.shape)}; images [2, C, H, W] are wanted")
    if not made.isfinite().all():
        raise InputError("the decoder makes images that are not finite of its mean code")
    return made


def _placed(decoder: Decoder, device: torch.device) -> Decoder:
    encoder = None if decoder.encoder is None else decoder.encoder.to(device)
    mean, std = decoder.mean.to(device), decoder.std.to(device)
    return replace(decoder, network=decoder.network.to(device), mean=mean, std=std, encoder=encoder)
