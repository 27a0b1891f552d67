"""Many pictures of a part: balanced classes and chunk-wise drawing."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ambench.core import generator
from ambench.datasets.drawing.canvas import Picture, draw
from ambench.datasets.drawing.scene import scene
from ambench.datasets.drawing.silhouettes import SHAPES
from ambench.datasets.drawing.textures import TEXTURES

CHUNK = 64


def balanced_classes(seed: int, part: str, count: int) -> tuple[Tensor, Tensor]:
    """Shape and texture index [count] each, all pairs equally often, in an order keyed by the part.

    >>> shape, texture = balanced_classes(0, "test", 128)
    >>> torch.bincount(shape * 8 + texture).tolist() == [2] * 64
    True
    """
    number = torch.randperm(count, generator=generator(seed, part, "classes"))
    return number % len(SHAPES), (number + number // len(SHAPES)) % len(TEXTURES)


def conflicting_classes(seed: int, part: str, count: int) -> tuple[Tensor, Tensor]:
    """Shape and texture index [count] each, never equal, all unequal pairs equally often."""
    number = torch.randperm(count, generator=generator(seed, part, "classes"))
    shape = number % len(SHAPES)
    return shape, (shape + 1 + number // len(SHAPES) % (len(TEXTURES) - 1)) % len(TEXTURES)


def pictures(
    seed: int, part: str, indices: Sequence[int], classes: tuple[Tensor, Tensor], present_share: Tensor, size: int = 64
) -> tuple[Picture, Tensor]:
    """Draw the pictures `indices` of a part; the rows of `classes` and `present_share` [count, K] are the part's own.

    Returns the pictures and which concepts they show [B, K].
    """
    rows = torch.as_tensor(list(indices), dtype=torch.long)
    shape, texture = classes[0][rows], classes[1][rows]
    parameters = scene(seed, part, indices, shape, texture, present_share[rows], size)
    return draw(parameters), parameters.present
