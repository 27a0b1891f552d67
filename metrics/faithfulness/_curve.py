"""How the probability goes as pixels are changed in a map's order: what `insertion` and `deletion` share."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ambench.core import Heatmaps, InputError, Trial, Values

from ._asking import Ask, Sure, refuse_chunk, streamed
from ._inputs import mixed
from ._order import constant, hottest_first, maps_of


@dataclass(frozen=True, eq=False)
class Ends:
    """What a curve leads from and to: pictures [B or 1, C, *extent], and how sure the model is of them [B or 1, K]."""

    start: Tensor
    stop: Tensor
    sure_at_start: Tensor
    sure_at_stop: Tensor


@dataclass(frozen=True)
class Curve(Sure):
    """The area under the probability as a share of the pixels, hottest first, goes from the start to the stop image.

    `fractions` between 0 and 1 are where it is read, or `steps` equal ones. All channels of a pixel change together.
    """

    citation: ClassVar[str] = "Petsiuk et al. 2018, arXiv 1806.07421"
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)

    fractions: tuple[float, ...] = (0.05, 0.1, 0.2, 0.4)
    steps: int | None = None
    chunk: int = 64

    def __post_init__(self) -> None:
        refuse_chunk("a curve", self.chunk)
        if self.steps is not None and self.steps < 2:
            raise InputError(f"a curve needs at least 2 steps, not {self.steps}")
        rising = all(low < high for low, high in zip((0.0, *self.fractions), (*self.fractions, 1.0), strict=True))
        if not rising:
            raise InputError(f"fractions must rise from above 0 to below 1, not {', '.join(map(str, self.fractions))}")

    @property
    def shares(self) -> tuple[float, ...]:
        """The shares of pixels at which the curve is read, ends and all."""
        inner = self.fractions if self.steps is None else [step / self.steps for step in range(1, self.steps)]
        return (0.0, *inner, 1.0)

    @abstractmethod
    def ends(self, trial: Trial[Heatmaps], ask: Ask) -> Ends:
        """Return the two ends, which no map decides."""

    def score(self, trial: Trial[Heatmaps]) -> Values | None:
        """Return the area [B, T] of each pair that shows its concept; None for a probe without calibration."""
        maps, ask = maps_of(trial), self.asks(trial)
        if ask is None:
            return None
        asked = self.asked(trial)
        areas = torch.zeros(asked.shape, dtype=torch.float64, device=maps.device)
        if asked.any():
            areas[asked] = torch.trapezoid(self.curves(trial, ask, asked), self._at(maps.shape[2]).to(maps.device))
        return Values.of(areas, asked, constant(maps))

    def curves(self, trial: Trial[Heatmaps], ask: Ask, asked: Tensor) -> Tensor:
        """Return the probabilities at each share [R, n] of the R pairs `asked` [B, T] bool."""
        ends, targets = self.ends(trial, ask), trial.case.targets
        rows, columns = asked.nonzero(as_tuple=True)  # [R] each
        order = hottest_first(trial, asked)
        counts = self._counts(order.keys.shape[1])[1:-1].tolist()  # of pixels changed
        reached, extent, inner = order.steps(counts), ends.start.shape[2:], len(counts)

        def change(some: Tensor) -> Tensor:
            pair, step = some // inner, some % inner
            changed = (reached.index_select(0, pair) <= step[:, None]).view(len(some), 1, *extent)
            return mixed(changed, _rows(ends.stop, rows[pair]), _rows(ends.start, rows[pair]))

        concepts = targets[rows, columns]  # [R]
        between = streamed(ask, change, concepts.repeat_interleave(inner), self.chunk).view(len(rows), inner)
        first, last = (
            _rows(sure, rows).gather(1, concepts[:, None]) for sure in (ends.sure_at_start, ends.sure_at_stop)
        )
        return torch.cat([first, between, last], 1)

    def _counts(self, total: int) -> Tensor:
        return (torch.tensor(self.shares, dtype=torch.float64) * total).round().long()

    def _at(self, total: int) -> Tensor:
        """The shares that whole pixels make."""
        return self._counts(total).double() / total


def _rows(values: Tensor, rows: Tensor) -> Tensor:
    """Return some rows of values [B, …], or the one that stands for all [1, …]."""
    return values.index_select(0, rows) if len(values) > 1 else values.expand(len(rows), *values.shape[1:])
