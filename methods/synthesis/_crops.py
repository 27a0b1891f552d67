"""Random square crops of pictures, brought back to full size with a little noise: an image at many scales at once."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class Crops:
    """`count` crops a step, their side going in a straight line from `first_side` to `last_side` of the picture's.

    One draw serves all pictures of a batch; `noise` is the standard deviation of what is added to each value. Sides
    are shares of the whole, and a side of 1 is the picture itself.

    >>> Crops(2, 0.75, 0.3, 0.0, steps=10)(torch.ones(3, 1, 8, 8), 0, torch.Generator()).shape
    torch.Size([6, 1, 8, 8])
    """

    count: int
    first_side: float
    last_side: float
    noise: float
    steps: int

    def side_at(self, step: int) -> float:
        """Return the crops' side in a step."""
        share = step / (self.steps - 1) if self.steps > 1 else 0.0
        return self.first_side + (self.last_side - self.first_side) * share

    def __call__(self, pictures: Tensor, step: int, random: torch.Generator) -> Tensor:
        """Return the crops [count P, C, *extent], crop by crop."""
        side = self.side_at(step)
        crops = [self._crop(pictures, side, random) for _ in range(self.count)]
        drawn = self.noise * torch.randn(self.count, *pictures.shape[1:], generator=random)
        return torch.cat([crop + part.to(crop) for crop, part in zip(crops, drawn, strict=True)])

    def _crop(self, pictures: Tensor, side: float, random: torch.Generator) -> Tensor:
        height, width = pictures.shape[2:]
        down, right = ((1 - side) * (2 * torch.rand(2, generator=random) - 1)).tolist()  # centre, in [-1, 1]
        place = torch.tensor([[[side, 0.0, right], [0.0, side, down]]], device=pictures.device, dtype=pictures.dtype)
        grid = F.affine_grid(place, [1, 1, height, width], align_corners=False).expand(len(pictures), -1, -1, -1)
        return F.grid_sample(pictures, grid, padding_mode="border", align_corners=False)
