"""Your own network as a model: its layers found, its outputs named, its inputs normalised inside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from ambench import features
from ambench.core import InputError, Model, generator
from ambench.layers import Tokens, calls_of, find
from ambench.layout import lay_out
from ambench.zoo.files import digest_of


class Normalised(nn.Module):
    """A network behind the normalisation of its inputs: [B, C, *extent] in [0, 1] -> whatever the network returns."""

    mean: Tensor
    deviation: Tensor

    def __init__(
        self, network: nn.Module, mean: Sequence[float], deviation: Sequence[float], dimensions: int = 2
    ) -> None:
        super().__init__()
        self.network = network
        shape = (-1, *[1] * dimensions)
        self.register_buffer("mean", torch.tensor(mean).view(shape))
        self.register_buffer("deviation", torch.tensor(deviation).view(shape))

    def forward(self, images: Tensor) -> Any:
        """Return the network's answer to the normalised images."""
        return self.network((images - self.mean) / self.deviation)


def wrap(
    network: nn.Module,
    name: str = "network",
    *,
    input_shape: tuple[int, ...] = (3, 224, 224),
    names: Sequence[str] | Mapping[str, int] = (),
    layer: str | None = None,
    tokens: Tokens | None = None,
    channels_last: bool = False,
    mean: Sequence[float] | None = None,
    deviation: Sequence[float] | None = None,
    weights: str | None = None,
) -> Model:
    """Return a network as a Model, in eval mode; its layers are found by family.

    The filters of its convolutions are laid out anew in memory, if that is quicker on the device that it is on.

    `names` are its classes in the order of its outputs, or a mapping from names to outputs; an output's number is
    always a name too. `mean` and `deviation` [C]: the network wants its inputs normalised. `tokens`: the layout of a
    token network, `channels_last`: of its grids. `weights` is the tag that records carry (None: a digest).

    >>> net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
    >>> model = wrap(net, input_shape=(1, 8, 12), names=("cat", "dog"))
    >>> model.layer, dict(model.units)
    ('1', {'cat': 0, 'dog': 1, '0': 0, '1': 1})
    """
    network.eval()
    lay_out(network)
    calls = calls_of(network, input_shape)
    count = _outputs(name, calls[-1].output)
    found, default = find(network, calls, tokens, channels_last)
    whole = network
    if mean is not None and deviation is not None:
        like = next(network.parameters(), torch.zeros(()))
        whole = Normalised(network, mean, deviation, len(input_shape) - 1).to(like)
    units, classes = name_units(names, count)
    tag = weights or digest_of(network.state_dict())[:12]
    model = Model(name, tag, whole.eval(), units, found, layer or default, input_shape, classes)
    if found and not model.layer:
        model = replace(model, layer=_last_reaching(model))
    if layer is not None:
        model.at(layer)  # refuses a name that is none
    return model


def name_units(names: Sequence[str] | Mapping[str, int], count: int) -> tuple[dict[str, int], tuple[str, ...]]:
    """Return units by name, their numbers as names too, and the class names; a name's second output gets ' (2)'.

    >>> name_units(["crane", "gate", "crane"], 3)[0]["crane (2)"]
    2
    """
    numbers = {str(unit): unit for unit in range(count)}
    if isinstance(names, Mapping):
        return {**dict(names), **{key: unit for key, unit in numbers.items() if key not in names}}, ()
    if not names:
        return numbers, tuple(numbers)
    if len(names) != count:
        raise InputError(f"{len(names)} names were given for {count} output units; one for each is wanted")
    units: dict[str, int] = {}
    for unit, name in enumerate(names):
        before = list(names[:unit]).count(name)
        units[f"{name} ({before + 1})" if before else name] = unit
    return units | {key: unit for key, unit in numbers.items() if key not in units}, tuple(units)


def _outputs(name: str, answer: object) -> int:
    if not isinstance(answer, Tensor) or answer.ndim != 2:
        shape = list(answer.shape) if isinstance(answer, Tensor) else type(answer).__name__
        raise InputError(f"network '{name}' returns {shape} for two images, but logits [B, units] are wanted")
    return answer.shape[1]


def _last_reaching(model: Model) -> str:
    """Return the last normalisation whose cells reach the output: later ones may feed the class token only."""
    images = torch.rand(2, *model.input_shape, generator=generator("default layer")).to(model.device)
    some = torch.arange(min(4, model.network(images).shape[1]), device=model.device).expand(2, -1)
    tokens = [name for name, layer in model.layers.items() if isinstance(layer.as_grid, Tokens)]
    names = (tokens or list(model.layers))[::-1]
    norms = [name for name in names if "Norm" in type(model.layers[name].module).__name__]
    return next((name for name in [*norms, *names] if features.reaches(model, images, some, name)), names[0])
