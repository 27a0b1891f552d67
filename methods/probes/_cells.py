"""Cells of a layer's grid as examples: those that a concept's mask covers, and some of those that it does not touch."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ambench.core import Randomness, Skipped

from ._probe import Sample

NEGATIVES = 4  # cells outside for each one inside


@dataclass(frozen=True, eq=False)
class Cells:
    """M cells [M, C] of some images; `inside` and `outside` [M, K] bool say for which concepts they stand as what.

    `image` [M] is the number of the image that a cell lies in. `rescued` [K] counts images whose concept covers no cell
    by the share asked for, so that the best-covered one stands for it; `dropped` [K] those that show a concept without
    a mask of it.
    """

    features: Tensor
    inside: Tensor
    outside: Tensor
    image: Tensor
    rescued: Tensor
    dropped: Tensor

    @staticmethod
    def of(sample: Sample, covered: float) -> Cells:
        """Return the cells of a sample with masks: inside from a share `covered` up, outside where nothing is covered.

        Raises Skipped without masks, or where a concept's masks are all empty.
        """
        cover = coverage(sample)  # [N, K, cells]
        best = cover.amax(2, keepdim=True)
        rescue = (best > 0) & (best < covered)
        inside = (cover >= covered) | (rescue & (cover == best) & _first(cover == best))
        free = cover == 0
        lost = sample.present & (best[..., 0] == 0)
        free = free & ~lost[..., None]  # where the concept is in an image without a mask, nobody knows
        outside = _lot(sample, free, inside)
        for number, name in enumerate(sample.concepts.names):
            if not outside[:, number].any():
                raise Skipped(f"the masks of '{name}' leave no cell of layer '{sample.layer}' free to learn from")
        kept = (inside | outside).any(1)  # [N, cells]
        image = torch.arange(len(kept), device=kept.device)[:, None].expand_as(kept)
        within, without = inside.movedim(1, 2)[kept], outside.movedim(1, 2)[kept]
        return Cells(_features(sample, kept), within, without, image[kept], rescue.any(2).sum(0), lost.sum(0))

    @property
    def used(self) -> Tensor:
        """Which cells are an example for which concept [M, K]."""
        return self.inside | self.outside


def coverage(sample: Sample) -> Tensor:
    """Return which share of each cell a concept's mask covers [N, K, cells], by averaging areas."""
    concepts, cells = sample.concepts, sample.activations.shape[2:]
    if concepts.masks is None:
        raise Skipped("a segmentation probe learns from masks of the concepts, and these examples have none")
    if not cells:
        raise Skipped(f"layer '{sample.layer}' has no cells that a mask could cover; name an earlier one")
    shrink: Any = {1: F.adaptive_avg_pool1d, 2: F.adaptive_avg_pool2d, 3: F.adaptive_avg_pool3d}[len(cells)]
    cover = torch.cat([shrink(part.float(), cells) for part in torch.split(concepts.masks, 64)]).flatten(2)
    for number, name in enumerate(concepts.names):
        if not cover[:, number].any():
            raise Skipped(f"no mask of '{name}' covers any cell of layer '{sample.layer}'; masks of it are wanted")
    return cover


def _features(sample: Sample, kept: Tensor) -> Tensor:
    """The features [M, C] of the cells kept [N, cells], read some images at a time."""
    parts = []
    for rows, block in sample.activations.rows():
        sample.check(block, rows)
        parts.append(block.reshape(len(block), -1, kept.shape[1]).movedim(2, 1)[kept[rows]])
    return torch.cat(parts)


def _first(marked: Tensor) -> Tensor:
    """The first of the marked cells of each image and concept [N, K, cells]."""
    return marked & (marked.cumsum(2) == 1)


def _lot(sample: Sample, free: Tensor, inside: Tensor) -> Tensor:
    """Cells outside drawn by lot, for each concept at most four times as many as inside: the same ones for everyone.

    A cell's lot depends on its image's name alone; images give a cell each in turn, as far as they have them.
    """
    count = free.shape[2]
    ids = sample.concepts.ids or tuple(map(str, range(len(free))))
    lot = Randomness(("cells outside",), ids).uniform(count).to(free.device).double()  # [N, cells]
    drawn = torch.zeros_like(free)
    for concept, wanted in enumerate((NEGATIVES * inside.sum((0, 2))).tolist()):
        place = torch.where(free[:, concept], lot, math.inf).argsort(1).argsort(1)  # from the lowest lot
        turn = torch.where(free[:, concept], place + lot, math.inf).flatten()
        chosen = (turn.argsort().argsort() < wanted).reshape(lot.shape)
        drawn[:, concept] = free[:, concept] & chosen
    return drawn
