"""Line plots of series as pictures: how dark the line makes each pixel."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

THICKNESS = 1.5  # pixels


def ink(series: Tensor, low: float, high: float, height: int, width: int) -> Tensor:
    """Return how dark the lines of series [N, C, T] make each pixel [N, H, W], from 0 to 1, all channels together.

    `low` is drawn half a line above the lower edge and `high` as far below the upper one; what lies beyond is cut off.
    Time runs from the middle of the first column to that of the last.

    >>> dark = ink(torch.tensor([[[0.0, 1.0]]]), low=0.0, high=1.0, height=8, width=8)[0]
    >>> rows = dark.argmax(0)
    >>> bool((rows.diff() <= 0).all()), bool(rows[0] > 5), bool(rows[-1] < 2)  # lower left to upper right
    (True, True, True)
    """
    rows = _rows(series.double(), low, high, height)  # [N, C, T]
    fine = F.interpolate(rows, size=2 * width - 1, mode="linear", align_corners=True)  # column middles and edges
    padded = F.pad(fine, (1, 1), mode="replicate")
    around = torch.stack([padded[..., 0:-2:2], padded[..., 1:-1:2], padded[..., 2::2]])  # left, middle, right
    top, bottom = around.amin(0)[:, :, None], around.amax(0)[:, :, None]  # [N, C, 1, W]
    place = torch.arange(height, dtype=torch.float64)[:, None]  # [H, 1]
    distance = torch.maximum(top - place, place - bottom).clamp_min(0)
    return ((THICKNESS + 1) / 2 - distance).clamp(0, 1).amax(1).float()


def _rows(series: Tensor, low: float, high: float, height: int) -> Tensor:
    """Return in which row of the picture each value lies; of a range without extent, in the middle."""
    share = (series - low) / (high - low) if high > low else torch.full_like(series, 0.5)
    margin = min(THICKNESS / 2, (height - 1) / 2)
    return (height - 1 - margin) - share.nan_to_num(0.5) * (height - 1 - 2 * margin)
