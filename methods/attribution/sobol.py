"""Sobol indices: the share of the logit's variance that each region or column owns (Fel et al. 2021; Sobol 2001)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from ambench import explanations, features
from ambench.core import AttributionMethod, Concepts, Heatmaps, InputError, Model, Randomness, Skipped

from ._baseline import Baseline, baseline_of
from ._maps import where_answered
from ._perturbed import cells, extent_of, logits_after
from ._sobol import design, first_order, of_columns, total_order

PICTURES, TABLES = 16, 4096  # designs, where nobody says how many
ROWS = 4096  # of a table that go through the network at a time


@dataclass(frozen=True)
class Sobol(AttributionMethod):
    """The share of the logit's variance that an input owns, with its interactions (`total`) or alone (`first`).

    Pictures and series (arXiv 2111.04138): the cells of a `grid` are faded towards the `baseline` by masks from a
    Sobol sequence, the same for all images; total indices by Jansen's estimator take `designs` x (cells + 1) forwards
    for all targets, first-order ones `designs` more. Tables: the network's own indices, by scipy: columns are drawn
    from the examples, each from its own values, as if they were independent; every row has the same answer.

    `designs` is a power of two (None: 16 for pictures, 4096 for tables); `chunk` pictures go through the network at a
    time, which changes nothing but memory. Small negative estimates are kept.

    >>> Sobol(grid=4, designs=16).order
    'total'
    """

    citation = "Fel et al. 2021, arXiv 2111.04138"
    stochastic = True

    order: Literal["total", "first"] = "total"
    grid: int = 8
    designs: int | None = None
    baseline: Baseline = "mean"
    chunk: int = 64

    def __post_init__(self) -> None:
        for name, value in (("grid", self.grid), ("chunk", self.chunk)):
            if value < 1:
                raise InputError(f"sobol needs {name} of at least 1, not {value}")
        if self.designs is not None and (self.designs < 2 or self.designs & (self.designs - 1)):
            raise InputError(f"sobol needs designs to be a power of two, such as 16 or 32, not {self.designs}")

    def attribute(
        self, model: Model, images: Tensor, targets: Tensor, concepts: Concepts, randomness: Randomness
    ) -> Heatmaps:
        """Return maps [B, T, *extent], enlarged from cells; a map's score is the mean of its top 5 % of cells.

        Raises Skipped for a table without examples to draw from.
        """
        asked = features.target_logits(model, images, targets, self.chunk)  # [B, T]
        seed = int(torch.randint(1 << 31, (), generator=randomness.generator("designs")))
        if images.ndim == 2:
            maps = self._columns(model, targets, concepts, seed)
        else:
            maps = self._cells(model, images, targets, baseline_of(images, concepts, self.baseline), seed)
        maps = where_answered(maps, asked)
        scores = explanations.top_share(maps).float()
        return Heatmaps(scores, explanations.upsample(maps, extent_of(images)).float())

    def _cells(self, model: Model, images: Tensor, targets: Tensor, start: Tensor, seed: int) -> Tensor:
        """Return the index of every cell [B, T, *cells]."""
        cell = cells(images.shape[2:], self.grid).to(images.device)  # [*extent]
        shape = [min(self.grid, side) for side in images.shape[2:]]
        masks = self._masks(int(cell.max()) + 1, seed).to(images)  # [N, D]

        def faded(rows: Tensor, numbers: Tensor) -> Tensor:
            kept = masks[numbers][:, cell].unsqueeze(1)  # [N, 1, *extent]
            return start[rows] + kept * (images[rows] - start[rows])

        answers = logits_after(model, targets, len(masks), faded, self.chunk).double()  # [B, T, N]
        answers = answers.view(*targets.shape, -1, self.designs or PICTURES)  # A, A with each cell from B, then B
        plain, mixed = answers[:, :, 0], answers[:, :, 1 : masks.shape[1] + 1]
        total = self.order == "total"
        indices = total_order(plain, mixed) if total else first_order(plain, answers[:, :, -1], mixed)
        return indices.view(*targets.shape, *shape)

    def _masks(self, count: int, seed: int) -> Tensor:
        a, b = design(self.designs or PICTURES, count, seed)  # [N, D]
        own = torch.eye(count, dtype=torch.bool).unsqueeze(1)  # [D, 1, D]
        parts = [a, torch.where(own, b, a).flatten(0, 1), b]
        return torch.cat(parts if self.order == "first" else parts[:2])

    def _columns(self, model: Model, targets: Tensor, concepts: Concepts, seed: int) -> Tensor:
        """Return the index of every column [B, T, D], the same for all rows."""
        if not len(concepts):
            raise Skipped("Sobol indices of a table need examples to draw its columns from, and there are none")
        units, place = torch.unique(targets, return_inverse=True)  # [K], [B, T]

        def answer(rows: Tensor) -> Tensor:
            found = features.logits(model, rows.to(concepts.images), ROWS)[:, units]
            if not found.isfinite().all():
                raise InputError(f"model '{model.name}' answers some rows of the examples' values with no number")
            return found

        first, total = of_columns(answer, concepts.images, self.designs or TABLES, seed)  # [K, D]
        return (total if self.order == "total" else first).to(place.device)[place]
