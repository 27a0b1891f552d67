"""Drawn time series with three short events, exact masks over time, and contexts that mislead: `series` (ambench)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ambench.core import Case, Concepts, Dataset, InputError, Pairs, Part, nearest
from ambench.datasets.waveforms.carriers import WAVEFORMS
from ambench.datasets.waveforms.events import EVENTS
from ambench.datasets.waveforms.parts import VERSION, DrawnSeries, balanced_waveforms

SHORTEST = 64  # samples: below it a spike is no longer drawn by more than one of them


def contexts(waveform: Tensor) -> Tensor:
    """Where each event is usual [N, K], from the waveform's number [N].

    An event's context is two of the four waveforms: the two bits of the number and their parity, so that any two
    contexts are independent.

    >>> contexts(torch.arange(4)).double().mean(0).tolist()
    [0.5, 0.5, 0.5]
    """
    bits = torch.stack([waveform >> place & 1 for place in range(2)], 1)
    return torch.cat((bits, bits.sum(1, keepdim=True) % 2), 1).bool()


@dataclass(frozen=True)
class Series(Dataset):
    """A sine, triangle, square or sawtooth with grain and two bumps; spike, burst and plateau happen at any time.

    In the examples each event is present with probability `correlation` where its context (two of the waveforms) is
    given and `1 - correlation` elsewhere; in the test part it does not depend on the context, so half of all pairs of
    series and event are hard. A `correlation` of .5 gives examples without that confusion. `length` is the number of
    samples; series are [1, length] in [0, 1], and equal settings give equal values.

    >>> dataset = Series(fit=16, test=8)
    >>> dataset.concepts("fit").images.shape, next(iter(dataset)).truth.masks.shape
    (torch.Size([16, 1, 128]), torch.Size([8, 3, 128]))
    """

    name: ClassVar[str] = "series"

    correlation: float = 0.9
    fit: int = 1500
    calibrate: int = 128
    test: int = 128
    length: int = 128
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.correlation <= 1:
            raise InputError(f"correlation is a probability from 0 to 1, not {self.correlation}")
        if min(self.fit, self.calibrate, self.test) < 0 or self.length < SHORTEST:
            raise InputError(
                f"fit, calibrate and test are numbers of series from 0 up, and length is at least {SHORTEST} samples"
            )

    @property
    def revision(self) -> str:
        """Version of the drawing and the settings."""
        settings = f"correlation={self.correlation},length={self.length},seed={self.seed}"
        return f"{VERSION}:{settings},fit={self.fit},calibrate={self.calibrate},test={self.test}"

    @property
    def names(self) -> tuple[str, ...]:
        """Spike, burst and plateau."""
        return EVENTS

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the waveforms."""
        return tuple(WAVEFORMS)

    def concepts(self, part: Part) -> Concepts:
        """Examples with masks, confounded by their contexts; raises InputError for another part's name."""
        counts = {"fit": self.fit, "calibrate": self.calibrate}
        if part not in counts:
            raise InputError(f"there is no part '{part}' with examples; {nearest(part, counts)}")
        drawn = self._part(part, counts[part], self.correlation)
        return drawn.concepts(contexts(drawn.waveform))

    def __iter__(self) -> Iterator[Case]:
        part = self._part("test", self.test, 0.5)
        return part.cases(contexts(part.waveform), self.correlation)

    def pairs(self, concept: str, count: int) -> Pairs:
        """Series of a part of their own, with and without one event; everything else is the same to the bit.

        >>> pairs = Series().pairs("plateau", 4)
        >>> changed = (pairs.shown != pairs.hidden).any(1)
        >>> bool((changed & ~pairs.mask).any())
        False
        """
        if concept not in EVENTS:
            raise InputError(f"there is no concept '{concept}'; {nearest(concept, EVENTS)}")
        column, part = EVENTS.index(concept), self._part("pairs", count, 0.5)
        shown, hidden = (part.draw(range(count), _with_share(part.share, column, share)) for share in (1.0, 0.0))
        return Pairs(shown.values, hidden.values, shown.events[:, column])

    def _part(self, name: str, count: int, correlation: float) -> DrawnSeries:
        waveform = balanced_waveforms(self.seed, name, count)
        share = torch.where(contexts(waveform), correlation, 1 - correlation)
        return DrawnSeries(name, self.seed, self.length, waveform, share)


def _with_share(share: Tensor, column: int, value: float) -> Tensor:
    changed = share.clone()
    changed[:, column] = value
    return changed
