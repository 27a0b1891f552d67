"""From what is sought to portraits: rows for units and restarts, climbed a chunk at a time, and what is kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from ambench import features
from ambench.core import Model, Portraits, Randomness

from ._ascent import Ascended, Ascent, Seen
from ._natural import precision
from ._objectives import Objective
from ._sought import Sought

Cost = Callable[[Mapping[str | None, Tensor]], Tensor]  # the outputs of the layers that were read -> [m P]


class Images(Protocol):
    """A way to write images of one shape as numbers."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one image."""

    def start(self, random: torch.Generator) -> Tensor:
        """Return the numbers that a climb starts from."""

    def render(self, parameters: Tensor) -> Tensor:
        """Return the images [P, *shape] of numbers [P, …]."""


@dataclass(frozen=True, eq=False)
class Climbers:
    """The P portraits of a cell: `restarts` of each of the K units in turn, what each seeks, and in which units."""

    model: Model
    units: Tensor  # [P]
    objective: Objective  # P rows
    scale: Tensor  # [P]
    restarts: int
    sought: Sought

    @staticmethod
    def of(model: Model, units: Tensor, sought: Sought, scale: Tensor, restarts: int) -> Climbers:
        """Return the portraits of units [K], whose objectives spread by `scale` [K] over natural images."""
        rows = torch.arange(len(units), device=model.device).repeat_interleave(restarts)
        wanted = units.to(model.device)[rows]
        return Climbers(model, wanted, sought.objective.select(rows), scale[rows], restarts, sought)

    def starts(self, images: Images, randomness: Randomness) -> Tensor:
        """Return what the climbs start from [P, …], each from its unit's and restart's own chance."""
        keys = [(unit, place % self.restarts) for place, unit in enumerate(self.units.tolist())]
        starts = [images.start(randomness.generator("portrait", unit, restart)) for unit, restart in keys]
        return torch.stack(starts).to(self.model.device, precision(self.model))

    def climb(self, starts: Tensor, chunk: int | None, ascent: Callable[[Objective, slice], Ascent]) -> Ascended:
        """Return where all end; `chunk` portraits climb at a time, those of one unit always together.

        `ascent` is told the objective of those that climb, and which of the P they are.
        """
        size = len(self.units) if chunk is None else self.restarts * max(1, chunk // self.restarts)
        parts = []
        for first in range(0, len(self.units), size):
            rows = slice(first, first + size)
            parts.append(ascent(self.objective.select(rows), rows).climb(starts[rows], self.scale[rows]))
        return _joined(parts)

    def portraits(self, images: Images, ended: Ascended, more: Mapping[str, Tensor] | None = None) -> Portraits:
        """Return the portraits of what the climbs ended with, in [0, 1], `more` among their details."""
        with torch.no_grad():
            pictures = images.render(ended.parameters).clamp(0, 1)
        details = {"died_at_step": ended.died, **(more or {})}
        if ended.transparency is not None:
            details["transparency"] = ended.transparency.float()
        return Portraits(
            pictures.float(), self.units, ended.alive, ended.history.float(), self.sought.directions, details
        )


@dataclass(frozen=True, eq=False)
class Eye:
    """A network as a climb sees it: one objective, and costs [P] of the features it passes on the way.

    `costs` are read from the outputs of `layers`; copies of one picture are averaged.
    """

    reader: features.Reader
    objective: Objective
    costs: Sequence[Cost] = field(default_factory=tuple)

    def __call__(self, pictures: Tensor) -> Seen:
        """Return what the network says of the pictures [m P, *input]."""
        outputs = self.reader.outputs(pictures)
        values = self.objective(outputs[self.objective.layer])
        if not self.costs:
            return Seen(values)
        total = torch.stack([cost(outputs) for cost in self.costs]).sum(0)
        return Seen(values, total.view(-1, len(values)).mean(0))


def _joined(parts: list[Ascended]) -> Ascended:
    through = [part.transparency for part in parts if part.transparency is not None]
    return Ascended(
        torch.cat([part.parameters for part in parts]),
        torch.cat([part.history for part in parts]),
        torch.cat([part.alive for part in parts]),
        torch.cat([part.died for part in parts]),
        torch.cat(through) if through else None,
    )
