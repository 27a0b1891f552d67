"""Ways to smooth series along their last axis, each leaving a constant as it is."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

Smoothing = Literal["exponential", "average", "gaussian", "none"]
REACH = 4.0  # a Gaussian is cut at so many standard deviations


def exponential(series: Tensor, weight: float) -> Tensor:
    """Return s with s_0 = x_0 and s_t = weight x_t + (1 - weight) s_{t-1}, along the last axis.

    >>> exponential(torch.tensor([0.0, 1.0, 1.0]), weight=0.5)
    tensor([0.0000, 0.5000, 0.7500])
    """
    smoothed = [series[..., 0]]
    for value in series.unbind(-1)[1:]:
        smoothed.append(weight * value + (1 - weight) * smoothed[-1])
    return torch.stack(smoothed, -1)


def average(series: Tensor, width: int) -> Tensor:
    """Return the mean of `width` neighbours, the ends mirrored; a window longer than the series is cut to it.

    >>> average(torch.tensor([0.0, 3.0, 0.0, 0.0]), width=3)
    tensor([1., 1., 1., 0.])
    """
    return filtered(series, torch.ones(width))


def gaussian(series: Tensor, deviation: float) -> Tensor:
    """Return the series under a Gaussian window, the ends mirrored; a window longer than the series is cut to it.

    >>> gaussian(torch.tensor([1.0, 1.0, 1.0]), deviation=2.0)
    tensor([1., 1., 1.])
    """
    radius = int(REACH * deviation + 0.5)
    places = torch.arange(-radius, radius + 1, dtype=torch.float64)
    return filtered(series, torch.exp(-0.5 * (places / deviation).square()))


def filtered(series: Tensor, kernel: Tensor) -> Tensor:
    """Return the series [..., T] weighted by a symmetric kernel of odd length, scaled to a sum of 1.

    A kernel longer than the series loses its ends until it is no longer, and still odd.
    """
    length = series.shape[-1]
    size = min(len(kernel), length - (length + 1) % 2)
    radius, cut = size // 2, (len(kernel) - size) // 2
    weights = kernel[cut : cut + size].to(series)
    places = _mirrored(torch.arange(-radius, length + radius, device=series.device), length)
    windows = series[..., places].unfold(-1, size, 1)  # [..., T, size]
    return windows @ (weights / weights.sum())


def _mirrored(places: Tensor, length: int) -> Tensor:
    """Return where places up to one length outside lie inside, the end itself counted twice."""
    inside = torch.where(places < 0, -places - 1, places)
    return torch.where(inside >= length, 2 * length - 1 - inside, inside)


def smooth(series: Tensor, kind: Smoothing, weight: float, width: int, deviation: float) -> Tensor:
    """Return the series [..., T] smoothed in one of these ways, or as it is (`none`)."""
    if kind == "exponential":
        return exponential(series, weight)
    if kind == "average":
        return average(series, width)
    return gaussian(series, deviation) if kind == "gaussian" else series
