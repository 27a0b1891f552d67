"""Drawn objects with four small concepts, exact masks, and contexts that mislead: `shapes` (ambench)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ambench.core import Case, Concepts, Dataset, InputError, Pairs, Part, nearest
from ambench.datasets.drawing.concepts import CONCEPTS
from ambench.datasets.drawing.parts import VERSION, DrawnPart, as_images
from ambench.datasets.drawing.series import balanced_classes
from ambench.datasets.drawing.silhouettes import SHAPES


def contexts(shape: Tensor) -> Tensor:
    """Where each concept is usual [N, K], from the shape's index [N].

    A concept's context is half of the eight shapes: the three bits of the index and their parity, so that any two
    contexts are independent.

    >>> contexts(torch.arange(8)).double().mean(0).tolist()
    [0.5, 0.5, 0.5, 0.5]
    """
    bits = torch.stack([shape >> place & 1 for place in range(3)], 1)
    return torch.cat((bits, bits.sum(1, keepdim=True) % 2), 1).bool()


@dataclass(frozen=True)
class Shapes(Dataset):
    """One of 8 shapes in one of 8 textures among three textured blobs; marker, patch, glyph and ring lie anywhere.

    In the examples each concept is present with probability `correlation` where its context (four of the shapes) is
    given and `1 - correlation` elsewhere; in the test part it does not depend on the context, so half of all pairs of
    image and concept are hard. A `correlation` of .5 gives examples without that confusion. `size` is the pictures'
    side in pixels; equal settings give equal pixels.

    >>> dataset = Shapes(fit=16, test=8)
    >>> dataset.concepts("fit").images.shape, next(iter(dataset)).truth.masks.shape
    (torch.Size([16, 3, 64, 64]), torch.Size([8, 4, 64, 64]))
    """

    name: ClassVar[str] = "shapes"

    correlation: float = 0.9
    fit: int = 1500
    calibrate: int = 128
    test: int = 128
    size: int = 64
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.correlation <= 1:
            raise InputError(f"correlation is a probability from 0 to 1, not {self.correlation}")
        if min(self.fit, self.calibrate, self.test) < 0 or self.size < 16:
            raise InputError("fit, calibrate and test are numbers of images from 0 up, and size is at least 16 pixels")

    @property
    def revision(self) -> str:
        """Version of the drawing and the settings."""
        settings = f"correlation={self.correlation},size={self.size},seed={self.seed}"
        return f"{VERSION}:{settings},fit={self.fit},calibrate={self.calibrate},test={self.test}"

    @property
    def names(self) -> tuple[str, ...]:
        """Marker, patch, glyph and ring."""
        return tuple(CONCEPTS)

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the shapes."""
        return tuple(SHAPES)

    def concepts(self, part: Part) -> Concepts:
        """Examples with masks, confounded by their contexts; raises InputError for another part's name."""
        counts = {"fit": self.fit, "calibrate": self.calibrate}
        if part not in counts:
            raise InputError(f"there is no part '{part}' with examples; {nearest(part, counts)}")
        drawn = self._part(part, counts[part], self.correlation)
        return drawn.concepts(contexts(drawn.shape))

    def __iter__(self) -> Iterator[Case]:
        part = self._part("test", self.test, 0.5)
        return part.cases(contexts(part.shape), self.correlation)

    def pairs(self, concept: str, count: int) -> Pairs:
        """Pictures of a part of their own, with and without one concept; everything else is the same to the bit.

        >>> pairs = Shapes().pairs("ring", 4)
        >>> changed = (pairs.shown != pairs.hidden).any(1)
        >>> bool((changed & ~pairs.mask).any())
        False
        """
        if concept not in CONCEPTS:
            raise InputError(f"there is no concept '{concept}'; {nearest(concept, CONCEPTS)}")
        column = self.names.index(concept)
        part = self._part("pairs", count, 0.5)
        shown, hidden, mask = [], [], []
        for rows in part.chunks():
            on, off = (part.draw(rows, _with_share(part.share, column, share))[0] for share in (1.0, 0.0))
            shown.append(as_images(on.pixels))
            hidden.append(as_images(off.pixels))
            mask.append(on.concepts[:, column])
        return Pairs(torch.cat(shown), torch.cat(hidden), torch.cat(mask))

    def _part(self, name: str, count: int, correlation: float) -> DrawnPart:
        shape, texture = balanced_classes(self.seed, name, count)
        share = torch.where(contexts(shape), correlation, 1 - correlation)
        return DrawnPart(name, self.seed, self.size, shape, texture, share)


def _with_share(share: Tensor, column: int, value: float) -> Tensor:
    changed = share.clone()
    changed[:, column] = value
    return changed
