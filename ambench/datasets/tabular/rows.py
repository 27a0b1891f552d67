"""The rows of a table as cases: columns to one scale, what is asked of each row, and the part that it belongs to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from ambench.core import Case, Concepts, InputError, Part, Truth, nearest
from ambench.datasets.files.parts import split

CASE_ROWS = 256
FEW = 10  # different values, up to which an answer is one of several classes and beyond which it is a quantity


@dataclass(frozen=True, eq=False)
class Rows:
    """Numbers [N, D] of named columns, and an answer for each row: labels, or a quantity [N] (then `labels` is empty).

    Of a quantity the one question is whether it lies above the examples' median. Rows with the same numbers are in the
    same part. Columns are scaled so that the examples span [0, 1]; other rows may reach beyond.
    """

    columns: tuple[str, ...]
    values: Tensor
    asked: str
    labels: tuple[str, ...] = ()
    quantity: Tensor | None = None
    fit: float = 0.6
    calibrate: float = 0.2

    def __post_init__(self) -> None:
        if self.fit <= 0 or self.calibrate < 0 or self.fit + self.calibrate >= 1:
            raise InputError(f"fit {self.fit} and calibrate {self.calibrate} are shares, below 1 together")

    @property
    def names(self) -> tuple[str, ...]:
        """The classes, sorted, or the quantity's name."""
        return tuple(sorted(set(self.labels))) or (self.asked,)

    @cached_property
    def parts(self) -> dict[str, Tensor]:
        """The numbers of the rows in each part."""
        _, kind = torch.unique(self.values, dim=0, return_inverse=True)  # [N]: which rows are equal
        first = torch.full_like(kind, len(kind)).scatter_reduce_(0, kind, torch.arange(len(kind)), "amin")[kind]  # [N]
        shares = split(map(str, range(len(kind))), self.fit, self.calibrate)
        rows = [torch.isin(first, torch.tensor([int(name) for name in names], dtype=torch.long)) for names in shares]
        return {
            part: inside.nonzero().flatten() for part, inside in zip(("fit", "calibrate", "test"), rows, strict=True)
        }

    @cached_property
    def scale(self) -> tuple[Tensor, Tensor]:
        """The least value of each column among the examples, and what it is divided by afterwards, [D] each."""
        seen = self.values[self.parts["fit"]]
        low, high = seen.amin(0), seen.amax(0)
        return low, torch.where(high > low, high - low, torch.ones_like(high))

    @cached_property
    def scaled(self) -> Tensor:
        """All rows, float32 [N, D]."""
        low, span = self.scale
        return ((self.values - low) / span).float()

    @cached_property
    def present(self) -> Tensor:
        """Which concept each row shows [N, K] bool."""
        if self.quantity is not None:
            return (self.quantity > self.quantity[self.parts["fit"]].median())[:, None]
        return torch.tensor([[label == name for name in self.names] for label in self.labels])

    def concepts(self, part: Part) -> Concepts:
        """Return the examples of one part."""
        if part not in ("fit", "calibrate"):
            raise InputError(f"there is no part '{part}' with examples; {nearest(part, ('fit', 'calibrate'))}")
        rows = self.parts[part]
        return Concepts(self.names, self.scaled[rows], self.present[rows], ids=_ids(rows))

    def cases(self) -> Iterator[Case]:
        """Yield the test part; every concept is asked of every row."""
        for rows in torch.split(self.parts["test"], CASE_ROWS):
            targets = torch.arange(len(self.names)).expand(len(rows), -1)  # [B, K]
            yield Case(self.scaled[rows], targets, Truth(self.present[rows]), _ids(rows))


def chosen(columns: Sequence[str], without: Sequence[str], asked: str) -> list[int]:
    """Return the places of the columns that are inputs; raises InputError for a name that is none, or if none is left.

    >>> chosen(["age", "weight", "ill"], ["age"], "ill")
    [1]
    """
    for name in (*without, asked):
        if name not in columns:
            raise InputError(f"there is no column '{name}'; {nearest(name, columns)}")
    places = [place for place, name in enumerate(columns) if name not in without and name != asked]
    if not places:
        raise InputError(f"no column is left to explain '{asked}' by; leave out fewer")
    return places


def _ids(rows: Tensor) -> tuple[str, ...]:
    return tuple(f"row-{row:06d}" for row in rows.tolist())
