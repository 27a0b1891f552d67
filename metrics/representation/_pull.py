"""Numbers of all images together, given to each image with its own pull on them (the jackknife: Tukey 1958)."""

from __future__ import annotations

import torch
from torch import Tensor


def pulled(value: float, without: Tensor) -> Tensor:
    """Return numbers [n] whose mean is a statistic, and which vary as it does when single images are left out.

    `without` [n] is the statistic without each of the images; where that is not finite, the image pulls at nothing.

    >>> values = torch.tensor([1.0, 2.0, 6.0], dtype=torch.float64)
    >>> without = (values.sum() - values) / 2
    >>> pulled(values.mean().item(), without).tolist()  # of a mean, they are the values themselves
    [1.0, 2.0, 6.0]
    """
    without = torch.where(without.isfinite(), without, value)
    return value + (len(without) - 1) * (without.mean() - without)
