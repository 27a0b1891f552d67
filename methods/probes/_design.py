"""Features of all examples, moved to their mean and divided by one number, as linear probes see them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import torch
from torch import Tensor

from ambench.activations import BLOCK, Activations
from ambench.explanations import SMALLEST_NORM, normalised

SMALLEST_WEIGHT = SMALLEST_NORM  # a shorter vector, in standard features, separates nothing
SMALLEST_SPREAD = 1e-6  # relative to the largest mean: below lies rounding of the network's float32
LEFT = 1e-3  # of the squares: with less spread around the mean, it is computed around the mean
TILE = 1 << 16  # numbers, in double precision, that stay in a processor's cache while they are used
DEPTH = 512  # columns whose inner products are added to a large matrix at a time
STRIPS = 4  # in which half of a symmetric product is computed, the other half being the same
NARROW = 256  # a symmetric product of fewer rows is computed as a whole

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
        """Return the design of some activations; constant ones become 0.

        Where something is not finite, `check` sees them all, some rows at a time with the slice that says which.
        """
        return Design.with_sums(activations, torch.empty(len(activations), 0), check)[0]

    @staticmethod
    def with_sums(activations: Activations, shares: Tensor, check: Check | None = None) -> tuple[Design, Tensor]:
        """Return the design and what it would `combine` of shares [N, Q], from one reading.

        There is a second one only where means are so large that little is left of the squares' digits without them.
        """
        count, width = len(activations), activations.width
        centre = activations.cut(slice(0, 1), slice(0, 1)).new_zeros(width, dtype=torch.float64)
        every = torch.cat([shares.to(centre), centre.new_ones(count, 1)], 1)  # the last sum is for the mean
        sums = centre.new_empty(every.shape[1], width)
        for origin in (None, centre):
            squares = _add_up(activations, origin, every, sums.zero_())
            if check is not None and not math.isfinite(squares):
                for rows, block in activations.rows():
                    check(block, rows)
            shift = sums[-1] / count
            centre += shift
            spread = squares - count * float(shift.square().sum())
            if spread > LEFT * squares:
                break
        scale = math.sqrt(max(0.0, spread) / (count * width))
        constant = scale <= SMALLEST_SPREAD * float(centre.abs().max())
        design = Design(activations, centre, 1.0 if constant else scale, constant)
        sums = sums[:-1].addr_(every[:, :-1].sum(0), shift, alpha=-1)
        return design, sums.mul_(design._gain).T

    @property
    def wide(self) -> bool:
        """Whether there are more features than examples, so that the dual form is the small one."""
        return self.activations.width > len(self.activations)

    @property
    def _gain(self) -> float:
        return 0.0 if self.constant else 1 / self.scale

    def rows(self) -> Iterator[tuple[slice, Tensor]]:
        """Yield the standard features of some examples at a time [n, F]."""
        for rows, block in self.activations.rows():
            yield rows, self._moved(block, slice(None)).mul_(self._gain)

    def columns(self) -> Iterator[tuple[slice, Tensor]]:
        """Yield some standard features of every example at a time [N, f]."""
        for columns, block in self.activations.columns():
            yield columns, self._moved(block, columns).mul_(self._gain)

    def _moved(self, block: Tensor, columns: slice) -> Tensor:
        return block.to(torch.float64, copy=True).sub_(self.centre[columns])

    @cached_property
    def gram(self) -> Tensor:
        """Inner products of the examples [N, N]."""
        count = len(self.activations)
        half = self.centre.new_zeros(count, count)
        for _, _, tile in _tiles(self.activations, "columns", self.centre, DEPTH * count):
            _add_product(half, tile)
        return _whole(half).mul_(self._gain**2)

    @cached_property
    def squares(self) -> Tensor:
        """Squared lengths of the examples [N]."""
        if self.wide:
            return self.gram.diagonal()
        total = self.centre.new_zeros(len(self.activations))
        for rows, _, tile in _tiles(self.activations, "rows", self.centre):
            total[rows] += tile.square_().sum(1)
        return total.mul_(self._gain**2)

    @cached_property
    def covariance(self) -> Tensor:
        """Inner products of the features [F, F]."""
        width = self.activations.width
        half = self.centre.new_zeros(width, width)
        for _, _, tile in _tiles(self.activations, "rows", self.centre, BLOCK):
            _add_product(half, tile.T)
        return _whole(half).mul_(self._gain**2)

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
        total = shares.new_empty(self.activations.width, shares.shape[1])
        for _, columns, tile in _tiles(self.activations, "columns", self.centre):
            torch.mm(tile.T, shares, out=total[columns])
        return total.mul_(self._gain)

    def times(self, vectors: Tensor) -> Tensor:
        """Return the inner products of all examples with vectors [F, Q] -> [N, Q]."""
        total = vectors.new_zeros(len(self.activations), vectors.shape[1])
        for rows, columns, tile in _tiles(self.activations, "rows", self.centre):
            total[rows].addmm_(tile, vectors[columns])
        return total.mul_(self._gain)

    def restore(self, vectors: Tensor, intercepts: Tensor) -> tuple[Tensor, Tensor]:
        """Return unit vectors [Q, F] and biases [Q] for the features as they are; zero where nothing separates."""
        unit, bias = normalised(vectors.T, intercepts)
        return unit, self.scale * bias - unit @ self.centre


def pieces(count: int, size: int) -> Iterator[slice]:
    """Yield slices of at most `size` that cover `count`.

    >>> list(pieces(5, 3))
    [slice(0, 3, None), slice(3, 5, None)]
    """
    for start in range(0, count, size):
        yield slice(start, min(start + size, count))


def _tiles(
    activations: Activations, by: Literal["rows", "columns"], origin: Tensor | None, size: int = TILE
) -> Iterator[tuple[slice, slice, Tensor]]:
    """Yield rows, columns and what is there, less an origin [F]: about `size` numbers at a time, in one place.

    Were each in a place of its own, the heap would be full of holes that are a little too small for the next.
    """
    place, step = torch.empty(0), 1
    for part, block in activations.rows() if by == "rows" else activations.columns():
        rows, start = (part, 0) if by == "rows" else (slice(0, len(block)), part.start)
        if not len(place):  # the first block is the largest
            step = max(1, min(size // len(block), block.shape[1]))
            place = block.new_empty(len(block) * step, dtype=torch.float64)
        for among in pieces(block.shape[1], step):
            columns = slice(start + among.start, start + among.stop)
            tile = place[: len(block) * (among.stop - among.start)].view(len(block), -1).copy_(block[:, among])
            yield rows, columns, tile if origin is None else tile.sub_(origin[columns])


def _add_up(activations: Activations, origin: Tensor | None, shares: Tensor, sums: Tensor) -> float:
    """Add features less an origin [F], each by its share [N, Q], to the sums [Q, F]; return the sum of all squares."""
    squares = shares.new_zeros(())
    for rows, columns, tile in _tiles(activations, "rows", origin):
        sums[:, columns].addmm_(shares[rows].T, tile)
        squares += tile.view(-1).dot(tile.view(-1))
    return float(squares)


def _add_product(half: Tensor, block: Tensor) -> None:
    """Add the lower half of a block's [n, m] inner products to the lower half of a matrix [n, n]."""
    strips = STRIPS if len(block) >= NARROW else 1
    for rows in pieces(len(block), -(-len(block) // strips)):
        half[rows, : rows.stop].addmm_(block[rows], block[: rows.stop].T)


def _whole(half: Tensor) -> Tensor:
    """Fill a matrix whose lower half is known, in place."""
    return half.tril_().add_(half.tril(-1).T)
