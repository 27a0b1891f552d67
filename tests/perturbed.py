"""Trials about networks whose answer to every change is known, and a count of what passes through them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

import trials
from ambench.core import Case, Concepts, Heatmaps, Model, Randomness, Trial, Truth


class Additive(nn.Module):
    """Logits that are a weighted sum of all numbers of the image: weights [U, *input]."""

    def __init__(self, weights: Tensor) -> None:
        super().__init__()
        self.weights = nn.Parameter(weights.clone())

    def forward(self, images: Tensor) -> Tensor:
        return images.flatten(1) @ self.weights.flatten(1).T


class Told(nn.Module):
    """Logits by a function of the images."""

    def __init__(self, tell: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.tell = tell

    def forward(self, images: Tensor) -> Tensor:
        return self.tell(images)


class Counted(nn.Module):
    """A network that remembers how many images each forward had."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.batches: list[int] = []

    def forward(self, images: Tensor) -> Tensor:
        self.batches.append(len(images))
        return self.network(images)


def model(network: nn.Module, shape: tuple[int, ...], classes: Sequence[str] = (), units: int = 3) -> Model:
    """A network as a model with one layer, its input; without `classes` every unit answers for itself."""
    names = {str(unit): unit for unit in range(units)} | {name: unit for unit, name in enumerate(classes)}
    return Model("known", "none", network, names, {}, "", shape, tuple(classes))


def case(images: Tensor, targets: Tensor | None = None) -> Case:
    """Images all of which show the concepts asked, by default the first."""
    targets = torch.zeros(len(images), 1, dtype=torch.long) if targets is None else targets
    truth = Truth(torch.ones_like(targets, dtype=torch.bool))
    return Case(images, targets, truth, tuple(f"image-{number}" for number in range(len(images))))


def trial(
    known: Model, asked: Case, maps: Tensor | Callable[[Tensor, Case], Heatmaps], colour: float = 0.5, **more: Any
) -> Trial[Any]:
    """The trial of maps [B, T, *extent], or of a function that explains, with examples of one mean colour."""
    if isinstance(maps, Tensor):
        answer = Heatmaps(torch.zeros(maps.shape[:2]), maps)
        explain = lambda images, case: answer  # noqa: E731
    else:
        explain, answer = maps, maps(asked.images, asked)
    units = torch.arange(3)
    examples = Concepts(trials.NAMES, torch.full_like(asked.images[:1], colour), torch.zeros(1, 3, dtype=torch.bool))
    given = Trial(known, asked, answer, examples, Randomness((0,), asked.ids), units, explain)
    return replace(given, **more)


def two_pixels(*odds: float) -> Trial[Any]:
    """The trial of a map that ranks two pixels, on a network as sure as `odds` by how many of them it sees."""
    said = torch.logit(torch.tensor(odds, dtype=torch.float64), eps=1e-15)
    told = Told(lambda x: said[(x[:, 0, 0] - 0.5).abs().gt(0.4).sum(1)].unsqueeze(1).expand(-1, 3))
    return trial(model(told, (1, 1, 2)), case(torch.tensor([[[[1.0, 0.0]]]])), torch.tensor([[[[2.0, 1.0]]]]))


def images(
    count: int, channels: int, extent: Sequence[int], seed: int = 0, dtype: torch.dtype = torch.float32
) -> Tensor:
    """Uniform images."""
    return torch.rand(count, channels, *extent, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def noise(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    """Normal numbers."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)
