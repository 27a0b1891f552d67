"""Networks with some of their weights drawn anew, from the input upwards, and the maps that a method gives for them."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from ambench import features
from ambench.core import Heatmaps, InputError, Model, Trial, generator
from ambench.correlation import correlation
from ambench.finite import refuse_broken
from ambench.forward import trace
from ambench.layout import as_defined, lay_out


def stages(model: Model, images: Tensor, count: int) -> list[tuple[str, ...]]:
    """Return what is drawn anew at each of at most `count` stages: the modules with weights, by name, in the order in
    which they run on an image [1, *input]; each stage has those of the one before it, the last all.

    A container's own weights, such as the class token, count as running with the first module inside.
    """
    network = model.network
    first: dict[str, int] = {}
    for place, call in enumerate(trace(network, images[:1])):
        parts = call.name.split(".") if call.name else []
        for depth in range(len(parts) + 1):
            first.setdefault(".".join(parts[:depth]), place)
    weighted = [name for name, module in network.named_modules() if any(True for _ in module.parameters(recurse=False))]
    order = {name: number for number, name in enumerate(weighted)}
    weighted.sort(key=lambda name: (_place(name, first), order[name]))
    if not weighted:
        raise InputError(f"model '{model.name}' has no weights that could be drawn anew")
    steps = min(count, len(weighted))
    ends = [-(-len(weighted) * step // steps) for step in range(1, steps + 1)]
    return [tuple(weighted[:end]) for end in ends]


def _place(name: str, first: dict[str, int]) -> int:
    """Return when a module runs, or else the nearest container that does."""
    while name not in first and name:
        name = name.rpartition(".")[0]
    return first.get(name, 0)


def randomised(model: Model, names: tuple[str, ...], draw: int) -> Model:
    """Return the model with the weights of some modules drawn anew; the model itself stays as it is.

    A module that can draw its initial weights does so; of any other, each weight is normal with the mean and deviation
    that its tensor had. What a module draws depends on its name and the draw's number alone.
    """
    network, layers = copy.deepcopy((model.network, dict(model.layers)))  # together, so that layers are the copy's
    device = model.device
    as_defined(network.cpu())
    modules = dict(network.named_modules())
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        for name in names:
            _draw(modules[name], generator("faithfulness", "randomisation", draw, name))
    tag = f"{model.weights}, draw {draw} of {len(names)} modules"
    lay_out(network.to(device).eval())
    return replace(model, weights=tag, network=network, layers=layers)


def _draw(module: nn.Module, stream: torch.Generator) -> None:
    reset: Callable[[], object] | None = getattr(module, "reset_parameters", getattr(module, "_reset_parameters", None))
    if callable(reset):
        torch.default_generator.set_state(stream.get_state())
        reset()
        return
    for weight in module.parameters(recurse=False):
        spread = weight.std(correction=0)
        weight.copy_(weight.mean() + spread * torch.randn(weight.shape, generator=stream, dtype=weight.dtype))


# ------------------------------------------------------------------------------------------------ maps


@dataclass(frozen=True, eq=False)
class Comparison:
    """A method's maps for a network with random weights: how similar [B, T] to those on trial, their complexity [B, T].

    `speaks` [B] bool: whether the network still tells its outputs apart.
    """

    similarity: Tensor
    complexity: Tensor
    speaks: Tensor


def compared(trial: Trial[Heatmaps], names: tuple[str, ...], draw: int) -> Comparison:
    """Return how the maps on trial compare with those for the network whose modules `names` are drawn anew."""
    found: Comparison = trial.share(("random weights", names, draw), lambda: _compared(trial, names, draw))
    return found


def _compared(trial: Trial[Heatmaps], names: tuple[str, ...], draw: int) -> Comparison:
    model = randomised(trial.model, names, draw)
    answer, maps = trial.reexplain_under(model), trial.explanation.values
    if not isinstance(answer, Heatmaps):
        raise InputError("another network was explained without maps; heatmaps are wanted")
    refuse_broken(trial, answer.values, "map for random weights")
    return Comparison(similarity(maps, answer.values), complexity(answer.values), _speaks(model, trial.case.images))


def similarity(maps: Tensor, others: Tensor) -> Tensor:
    """Return Spearman's correlation of signed maps [B, T, *extent] as they are [B, T], exactly 1 for equal ones."""
    one, two = _in_rows(maps), _in_rows(others)  # [B T, P]
    everywhere = torch.ones_like(one, dtype=torch.bool)
    alike = correlation(one, two, everywhere, "spearman")
    return torch.where((one == two).all(1), torch.ones_like(alike), alike).view(maps.shape[:2])


def complexity(maps: Tensor, bins: int = 100) -> Tensor:
    """Return the entropy in nats of each map's histogram [B, T], over its own range; 0 for a constant map.

    >>> round(complexity(torch.arange(100.0).view(1, 1, 10, 10)).exp().item(), 6)
    100.0
    """
    values = _in_rows(maps).double()
    low, high = values.amin(1, keepdim=True), values.amax(1, keepdim=True)
    edges = low + torch.arange(bins, device=values.device) * ((high - low) / bins)  # where each bin begins
    places = torch.searchsorted(edges, values, right=True).sub(1).clamp(0, bins - 1)
    places = places.masked_fill(high == low, 0)
    counts = torch.zeros_like(edges).scatter_add(1, places, torch.ones_like(values))
    entropy: Tensor = torch.special.entr(counts / values.shape[1]).sum(1)
    return entropy.view(maps.shape[:2])


def _in_rows(maps: Tensor) -> Tensor:
    return maps.reshape(math.prod(maps.shape[:2]), math.prod(maps.shape[2:]))


def _speaks(model: Model, images: Tensor) -> Tensor:
    """Return for which images [B] the logits differ; a single one has none to differ from."""
    said = features.logits(model, images)  # [B, U]
    spread = said.amax(1) - said.amin(1)
    apart: Tensor = spread > 1e-6 * said.abs().amax(1)
    return apart if said.shape[1] > 1 else torch.ones_like(apart)
