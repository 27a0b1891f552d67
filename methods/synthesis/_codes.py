"""Pictures behind the codes of a decoder, so that a climb stays among what the decoder can paint."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ambench.decoders import Decoder


@dataclass(frozen=True, eq=False)
class Codes:
    """Pictures of one shape (C, H, W) painted by a decoder from codes [P, *code_shape], clamped to [0, 1].

    A decoder of another size is enlarged or averaged to it.

    >>> from ambench.decoders import resolve
    >>> decoder = resolve("shapes")
    >>> Codes((3, 32, 32), decoder).render(torch.zeros(1, *decoder.code_shape)).shape
    torch.Size([1, 3, 32, 32])
    """

    shape: tuple[int, ...]
    decoder: Decoder

    def start(self, random: torch.Generator) -> Tensor:
        """Return a code of standard normal numbers, around the mean and inside the bounds where codes are rectified."""
        drawn = torch.randn(self.decoder.code_shape, generator=random)
        if self.decoder.kind == "gaussian":
            return drawn
        low, high = (bound.cpu() for bound in self.decoder.bounds)
        return (self.decoder.mean.cpu() + self.decoder.std.cpu() * drawn).clamp(low, high)

    def paint(self, codes: Tensor) -> Tensor:
        """Return the pictures [P, C, H, W] as the decoder makes them, at the wanted size."""
        pictures: Tensor = self.decoder.network(codes)
        size = list(self.shape[1:])
        if list(pictures.shape[2:]) == size:
            return pictures
        return F.interpolate(pictures, size=size, mode="area")

    def render(self, codes: Tensor) -> Tensor:
        """Return the pictures in [0, 1]."""
        return self.paint(codes).clamp(0, 1)

    def clamped_share(self, codes: Tensor) -> Tensor:
        """Return the share of each picture's values that leave [0, 1] [P]."""
        pictures = self.paint(codes)
        return ((pictures < 0) | (pictures > 1)).flatten(1).float().mean(1)
