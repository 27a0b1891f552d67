"""One part of a drawn dataset, as the examples or the cases of the harness."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from ambench.core import Case, Concepts, Truth
from ambench.datasets.drawing.canvas import Picture
from ambench.datasets.drawing.concepts import CONCEPTS, KEEPS
from ambench.datasets.drawing.series import CHUNK, pictures

Cue = Literal["shape", "texture"]

VERSION = "1"  # of the drawing: another pixel anywhere is another version


def as_images(pixels: Tensor) -> Tensor:
    """Eight-bit pixels as float32 in [0, 1]."""
    return pixels.float().div_(255)


@dataclass(frozen=True, eq=False)
class DrawnPart:
    """N pictures of one part: classes `shape` and `texture` [N], probability of each concept `share` [N, K]."""

    name: str
    seed: int
    size: int
    shape: Tensor
    texture: Tensor
    share: Tensor

    def __len__(self) -> int:
        return len(self.shape)

    def draw(self, rows: Sequence[int], share: Tensor | None = None) -> tuple[Picture, Tensor]:
        """The pictures of some rows and what they show [B, K]; `share` [N, K] in place of the part's own."""
        wanted = self.share if share is None else share
        return pictures(self.seed, self.name, rows, (self.shape, self.texture), wanted, self.size)

    def chunks(self) -> Iterator[range]:
        """All rows, in chunks."""
        for start in range(0, len(self), CHUNK):
            yield range(start, min(start + CHUNK, len(self)))

    def ids(self, rows: Sequence[int]) -> tuple[str, ...]:
        """Names of pictures: part, seed and number."""
        return tuple(f"{self.name}-{self.seed}-{row:05d}" for row in rows)

    def concepts(self, context: Tensor | None = None) -> Concepts:
        """The whole part as examples; `context` [N, K] bool says where a concept is usual."""
        shown = torch.empty(len(self), len(CONCEPTS), dtype=torch.bool)
        images = torch.empty(len(self), 3, self.size, self.size)
        masks = torch.empty(len(self), len(CONCEPTS), self.size, self.size, dtype=torch.bool)
        for rows in self.chunks():
            here = slice(rows.start, rows.stop)
            picture, shown[here] = self.draw(rows)
            images[here], masks[here] = as_images(picture.pixels), picture.concepts
        return Concepts(tuple(CONCEPTS), images, shown, masks, self.ids(range(len(self))), KEEPS, context)

    def cases(self, context: Tensor | None = None, correlation: float = 0.5) -> Iterator[Case]:
        """The whole part as cases in which every concept is asked of every image.

        `context` [N, K] bool says where a concept is usual; among the examples it agrees with `present` at the rate
        `correlation`, here at one half.
        """
        for rows in self.chunks():
            picture, present = self.draw(rows)
            here = slice(rows.start, rows.stop)
            hard = None if context is None else present != context[here]
            truth = Truth(
                present=present,
                masks=picture.concepts,
                distractors=picture.distractors,
                object=picture.object,
                surface=picture.surface,
                hard=hard,
                weight=None if hard is None else torch.where(hard, 1 - correlation, correlation).double() / 0.5,
                shape=self.shape[here],
                texture=self.texture[here],
            )
            targets = torch.arange(len(CONCEPTS)).expand(len(rows), -1)  # [B, K]
            yield Case(as_images(picture.pixels), targets, truth, self.ids(rows))


def asked_for_class(case: Case, cue: Cue, classes: int | None = None) -> Case:
    """Return a drawn case in which each image is asked for one class, that of its shape or its texture.

    With a number of classes it is asked for all of them, and shows that one.
    """
    truth = case.truth
    number, place = (truth.shape, truth.object) if cue == "shape" else (truth.texture, truth.surface)
    assert number is not None
    assert place is not None
    asked = number[:, None] if classes is None else torch.arange(classes).expand(len(case), -1)  # [B, T]
    present = asked == number[:, None]
    masks = place[:, None] & present[..., None, None]  # [B, T, H, W]
    return replace(case, targets=asked, truth=replace(truth, present=present, masks=masks, hard=None, weight=None))


def as_examples(part: DrawnPart, cue: Cue, names: tuple[str, ...]) -> Concepts:
    """Return a part as examples of all K classes of a cue, with masks; there may be none."""
    images = torch.empty(len(part), 3, part.size, part.size)
    present = torch.empty(len(part), len(names), dtype=torch.bool)
    masks = torch.empty(len(part), len(names), part.size, part.size, dtype=torch.bool)
    for rows, case in zip(part.chunks(), part.cases(), strict=True):
        here, asked = slice(rows.start, rows.stop), asked_for_class(case, cue, len(names))
        assert asked.truth.masks is not None
        images[here], present[here], masks[here] = asked.images, asked.truth.present, asked.truth.masks
    return Concepts(names, images, present, masks, part.ids(range(len(part))))
