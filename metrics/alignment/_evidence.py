"""Where the positive evidence of a map lies."""

from __future__ import annotations

import torch

from ._pixels import Pixels


def evidence_inside(pixels: Pixels) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the share of each map's positive values that lies inside [R] float64, and where there are none [R] bool.

    A map without positive values counts as flat: its share is that of the area.
    """
    area = pixels.inside.double().mean(1)
    evidence = pixels.values.double().clamp_min(0)  # [R, P]
    total = evidence.sum(1)
    within = evidence.masked_fill(~pixels.inside, 0).sum(1)
    silent = total == 0
    share = torch.where(silent, area, within / torch.where(silent, torch.ones_like(total), total))
    return share, silent | pixels.flat
