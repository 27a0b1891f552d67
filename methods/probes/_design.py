"""Features of all examples, moved to their mean and divided by one number, as linear probes see them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from ambench.activations import Activations
from ambench.explanations import normalised

SMALLEST_WEIGHT = 1e-8  # a shorter vector, in standard features, separates nothing
SMALLEST_SPREAD = 1e-6  # relative to the largest mean: below lies rounding of the network's float32

Check = Callable[[Tensor, slice], None]


@dataclass(frozen=True, eq=False)
class Design:
    """Features [N, F] less their mean, over one scale for all of them, so that no quiet feature grows loud.

    They are read in blocks and never held as a whole, in double precision. Problems with an L2 penalty need inner
    products alone: `gram` [N, N], or `coordinates` [N, R] along the principal axes, of which there are never more than
    examples or features.
    """

    activations: Activations
    centre: Tensor
    scale: float
    constant: bool

    @staticmethod
    def of(activations: Activations, check: Check | None = None) -> Design:
        """Return the design of some activations; constant ones become 0. `check` sees each block of rows once."""
        first = next(activations.rows())[1]
        total = torch.zeros(activations.width, dtype=torch.float64, device=first.device)
        squares = torch.zeros_like(total)
        for rows, block in activations.rows():
            if check is not None:
                check(block, rows)
            total += block.double().sum(0)
        centre = total / len(activations)
        for _, block in activations.rows():
            squares += (block.double() - centre).square().sum(0)
        scale = float((squares.sum() / (len(activations) * activations.width)).sqrt())
        constant = scale <= SMALLEST_SPREAD * float(centre.abs().max())
        return Design(activations, centre, 1.0 if constant else scale, constant)

    @property
    def wide(self) -> bool:
        """Whether there are more features than examples, so that the dual form is the small one."""
        return self.activations.width > len(self.activations)

    def rows(self) -> Iterator[tuple[slice, Tensor]]:
        """Yield the standard features of some examples at a time [n, F]."""
        for rows, block in self.activations.rows():
            yield rows, self._standard(block, slice(None))

    def columns(self) -> Iterator[tuple[slice, Tensor]]:
        """Yield some standard features of every example at a time [N, f]."""
        for columns, block in self.activations.columns():
            yield columns, self._standard(block, columns)

    def _standard(self, block: Tensor, columns: slice) -> Tensor:
        moved = (block.double() - self.centre[columns]) / self.scale
        return torch.zeros_like(moved) if self.constant else moved

    @cached_property
    def gram(self) -> Tensor:
        """Inner products of the examples [N, N]."""
        total = self.centre.new_zeros(len(self.activations), len(self.activations))
        for _, block in self.columns():
            total += block @ block.T
        return total

    @cached_property
    def covariance(self) -> Tensor:
        """Inner products of the features [F, F]."""
        total = self.centre.new_zeros(self.activations.width, self.activations.width)
        for _, block in self.rows():
            total += block.T @ block
        return total

    @cached_property
    def _spectrum(self) -> tuple[Tensor, Tensor]:
        """Energies [R] of the principal axes and the axes themselves: of features [F, R], or of examples [N, R]."""
        energy, axes = torch.linalg.eigh(self.gram if self.wide else self.covariance)
        kept = energy > 1e-12 * energy.max().clamp_min(1e-300)
        kept[-1] = True
        return energy[kept], axes[:, kept]

    @cached_property
    def coordinates(self) -> Tensor:
        """The examples along the principal axes [N, R]."""
        energy, axes = self._spectrum
        return axes * energy.clamp_min(0).sqrt() if self.wide else self.times(axes)

    def vectors_of(self, weights: Tensor) -> Tensor:
        """Return vectors [F, Q] of standard features for weights [R, Q] of coordinates."""
        energy, axes = self._spectrum
        if not self.wide:
            return axes @ weights
        return self.combine(axes @ (weights / energy.clamp_min(1e-300).sqrt()[:, None]))

    def combine(self, shares: Tensor) -> Tensor:
        """Return sums of the examples' standard features [F, Q], each with its share [N, Q]."""
        parts = [block.T @ shares for _, block in self.columns()]
        return torch.cat(parts)

    def times(self, vectors: Tensor) -> Tensor:
        """Return the inner products of all examples with vectors [F, Q] -> [N, Q]."""
        return torch.cat([block @ vectors for _, block in self.rows()])

    def restore(self, vectors: Tensor, intercepts: Tensor) -> tuple[Tensor, Tensor]:
        """Return unit vectors [Q, F] and biases [Q] for the features as they are; zero where nothing separates."""
        alive = vectors.norm(dim=0) >= SMALLEST_WEIGHT
        plain = vectors.T / self.scale
        unit, bias = normalised(plain, intercepts - plain @ self.centre)
        return unit * alive[:, None], bias * alive
