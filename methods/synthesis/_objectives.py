"""What a portrait makes large: a number for each row, read from a layer's own output or from the logits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from ambench import features
from ambench.core import Layer

Read = Callable[[Tensor, Tensor], Tensor]  # an output [N, …] and a target for each of its rows [N, …] -> [N]
LEAST_COSINE = 0.1  # a direction's cosine counts as at least this much (as in lucid)


@dataclass(frozen=True, eq=False)
class Objective:
    """Something to make large for each of P portraits: `read` applied to a layer's output (None: the logits).

    `targets` [P, …] tell the portraits apart: an output unit, a channel, a direction.
    """

    layer: str | None
    targets: Tensor
    read: Read

    def __len__(self) -> int:
        return len(self.targets)

    def select(self, rows: Tensor | slice) -> Objective:
        """Return the objective of some of the portraits, in the order of `rows`."""
        return replace(self, targets=self.targets[rows])

    def __call__(self, output: Tensor) -> Tensor:
        """Return the objectives [P] of a picture each, or means over moved copies that come copy by copy [m P]."""
        copies = len(output) // len(self.targets)
        if copies == 1:
            return self.read(output, self.targets)
        values = self.read(output, self.targets.repeat(copies, *[1] * (self.targets.ndim - 1)))
        return values.view(copies, -1).mean(0)

    def on(self, output: Tensor) -> Tensor:
        """Return what each portrait's objective is on other pictures [P, N]."""
        rows = [self.read(output, target.expand(len(output), *target.shape)) for target in self.targets]
        return torch.stack(rows)


# ------------------------------------------------------------------------------------------------ of output units


def logit(logits: Tensor, units: Tensor) -> Tensor:
    """Return the logit of each row's unit.

    >>> logit(torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([1, 0]))
    tensor([2., 3.])
    """
    return logits.gather(1, units[:, None])[:, 0]


def log_probability(class_units: Sequence[int]) -> Read:
    """Return what reads the log-probability of a unit: among the classes if it is one, else of yes against no.

    Without named classes all units are classes. The logarithm, because a probability near one has no slope left.

    >>> log_probability([0, 1])(torch.tensor([[0.0, 0.0, 0.0]]), torch.tensor([1])).exp()
    tensor([0.5000])
    """

    def read(logits: Tensor, units: Tensor) -> Tensor:
        rivals = torch.tensor(class_units or range(logits.shape[1]), device=logits.device)
        own = logit(logits, units)
        among = own - logits[:, rivals].logsumexp(1)
        return torch.where(torch.isin(units, rivals), among, F.logsigmoid(own))

    return read


# ------------------------------------------------------------------------------------------------ of hidden layers


def channel(layer: Layer, pooling: features.Pooling) -> Read:
    """Return what reads a channel [N] long of a layer: its mean over cells, or in the class token."""

    def read(output: Tensor, channels: Tensor) -> Tensor:
        return logit(features.pooled(layer, output, pooling), channels)

    return read


def neuron(layer: Layer) -> Read:
    """Return what reads a channel [N] long of a layer in its middle cell, of an even number the later one."""

    def read(output: Tensor, channels: Tensor) -> Tensor:
        return logit(middle(layer.as_grid(output)), channels)

    return read


def energy(layer: Layer) -> Read:
    """Return what reads the mean square of a whole layer, whatever the target (DeepDream: Mordvintsev et al. 2015)."""

    def read(output: Tensor, anything: Tensor) -> Tensor:
        return layer.as_grid(output).square().flatten(1).mean(1)

    return read


def along(layer: Layer, pooling: features.Pooling, mode: str) -> Read:
    """Return what reads how far pooled features p lie along directions v [N, C] or [N, C, *cells].

    `dot` is <v, p>; `cosine` their cosine; `dotcos` the dot product times the square of the cosine, which is taken to
    be at least .1. The three are often called by one name.
    """

    def read(output: Tensor, vectors: Tensor) -> Tensor:
        pooled, vectors = features.pooled(layer, output, pooling).flatten(1), vectors.flatten(1).to(output)
        dot = (pooled * vectors).sum(1)
        if mode == "dot":
            return dot
        cosine = F.cosine_similarity(pooled, vectors, dim=1)
        return cosine if mode == "cosine" else dot * cosine.clamp_min(LEAST_COSINE).square()

    return read


def middle(grid: Tensor) -> Tensor:
    """Return the features [N, C] in the middle cell of a grid [N, C, *cells].

    >>> middle(torch.arange(6.0).view(1, 1, 2, 3))
    tensor([[4.]])
    """
    for side in grid.shape[2:]:
        grid = grid.select(2, side // 2)
    return grid
