"""Small seeded movements of whole batches of pictures that leave their size: what survives them is no pixel noise."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class Transforms:
    """A shift by up to `jitter` sides, a zoom by 1 +- `zoom` and a turn by up to `rotation_degrees`; edges mirrored.

    One draw serves all images of a batch. Series are only shifted; inputs without extent stay as they are.

    >>> Transforms(jitter=0.25)(torch.ones(2, 3, 8, 12), torch.Generator().manual_seed(0)).shape
    torch.Size([2, 3, 8, 12])
    """

    jitter: float = 0.0
    zoom: float = 0.0
    rotation_degrees: float = 0.0

    def __call__(self, images: Tensor, random: torch.Generator) -> Tensor:
        """Return the images [P, C, *extent], moved by one draw from `random`."""
        draws = (2 * torch.rand(2 + images.ndim, generator=random) - 1).tolist()  # in [-1, 1)
        moved = self._shifted(images, draws[2:])
        if images.ndim != 4 or not (self.zoom or self.rotation_degrees):
            return moved
        return _turned(moved, 1 + self.zoom * draws[0], math.radians(self.rotation_degrees * draws[1]))

    def _shifted(self, images: Tensor, draws: list[float]) -> Tensor:
        sides = images.shape[2:]
        reach = [min(round(self.jitter * side), side - 1) for side in sides]
        if images.ndim not in (3, 4) or not any(reach):
            return images
        moved = F.pad(images, [margin for most in reversed(reach) for margin in (most, most)], mode="reflect")
        for axis, (side, most, draw) in enumerate(zip(sides, reach, draws, strict=False)):
            moved = moved.narrow(axis + 2, most + round(most * draw), side)
        return moved


def _turned(images: Tensor, zoom: float, angle: float) -> Tensor:
    """Return pictures [P, C, H, W] enlarged and turned about their centre, from one sampling grid."""
    height, width = images.shape[2:]
    cosine, sine = math.cos(angle) / zoom, math.sin(angle) / zoom
    rows = [[cosine, -sine * height / width, 0.0], [sine * width / height, cosine, 0.0]]
    turn = torch.tensor([rows], device=images.device, dtype=images.dtype)
    grid = F.affine_grid(turn, [1, 1, height, width], align_corners=False).expand(len(images), -1, -1, -1)
    return F.grid_sample(images, grid, padding_mode="reflection", align_corners=False)
