"""One part of the drawn series, as the examples or the cases of the harness."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ambench.core import Case, Concepts, Truth, generator
from ambench.datasets.waveforms.carriers import WAVEFORMS
from ambench.datasets.waveforms.events import EVENTS, KEEPS
from ambench.datasets.waveforms.traces import Traces, traces

VERSION = "1"  # of the drawing: another value anywhere is another version
CHUNK = 64


def balanced_waveforms(seed: int, part: str, count: int) -> Tensor:
    """Number of the waveform [count], all equally often, in an order keyed by the part.

    >>> torch.bincount(balanced_waveforms(0, "test", 64)).tolist()
    [16, 16, 16, 16]
    """
    return torch.randperm(count, generator=generator(seed, part, "waveforms")) % len(WAVEFORMS)


@dataclass(frozen=True, eq=False)
class DrawnSeries:
    """N series of one part: their waveform [N], the probability of each event `share` [N, K]."""

    name: str
    seed: int
    length: int
    waveform: Tensor
    share: Tensor

    def __len__(self) -> int:
        return len(self.waveform)

    def draw(self, rows: Sequence[int], share: Tensor | None = None) -> Traces:
        """The series of some rows; `share` [N, K] in place of the part's own."""
        wanted, index = self.share if share is None else share, torch.as_tensor(list(rows), dtype=torch.long)
        return traces(self.seed, self.name, rows, self.waveform[index], wanted[index], self.length)

    def chunks(self) -> Iterator[range]:
        """All rows, in chunks."""
        for start in range(0, len(self), CHUNK):
            yield range(start, min(start + CHUNK, len(self)))

    def ids(self, rows: Sequence[int]) -> tuple[str, ...]:
        """Names of series: part, seed and number."""
        return tuple(f"{self.name}-{self.seed}-{row:05d}" for row in rows)

    def concepts(self, context: Tensor) -> Concepts:
        """The whole part as examples; `context` [N, K] bool says where an event is usual."""
        drawn = [self.draw(rows) for rows in self.chunks()] or [self.draw([])]
        values, present, masks = (
            torch.cat([getattr(part, name) for part in drawn]) for name in ("values", "present", "events")
        )
        return Concepts(EVENTS, values, present, masks, self.ids(range(len(self))), KEEPS, context)

    def cases(self, context: Tensor, correlation: float) -> Iterator[Case]:
        """The whole part as cases in which every event is asked of every series.

        `context` [N, K] bool says where an event is usual; among the examples it agrees with `present` at the rate
        `correlation`, here at one half.
        """
        for rows in self.chunks():
            drawn = self.draw(rows)
            hard = drawn.present != context[rows.start : rows.stop]
            truth = Truth(
                present=drawn.present,
                masks=drawn.events,
                distractors=drawn.bumps,
                hard=hard,
                weight=torch.where(hard, 1 - correlation, correlation).double() / 0.5,
                shape=self.waveform[rows.start : rows.stop],
            )
            targets = torch.arange(len(EVENTS)).expand(len(rows), -1)  # [B, K]
            yield Case(drawn.values, targets, truth, self.ids(rows))
