"""What stands for "nothing there": the inputs that explanations compare with."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from ambench.blur import blurred
from ambench.core import Concepts, InputError

Baseline = Literal["black", "mean", "blur"]

BLUR = 1 / 16  # the standard deviation of `blur`, as a share of the shortest side


def baseline_of(images: Tensor, concepts: Concepts, kind: Baseline) -> Tensor:
    """Return what images [B, *input] are compared with: zeros, the examples' mean of each channel, or a blurred copy.

    A table's columns [B, D] are its channels, and cannot be blurred (InputError).

    >>> examples = Concepts((), torch.tensor([[1.0, 4.0], [3.0, 8.0]]), torch.zeros(2, 0, dtype=torch.bool))
    >>> baseline_of(torch.zeros(1, 2), examples, "mean")
    tensor([[2., 6.]])
    """
    if kind == "black":
        return torch.zeros_like(images)
    if kind == "mean":
        level = concepts.mean.to(images).view(-1, *[1] * (images.ndim - 2))  # [C, 1, …]
        return level.expand_as(images)
    if images.ndim < 3:
        raise InputError("a table's columns have no neighbours to be blurred with; use the baseline black or mean")
    return blurred(images.flatten(0, 1), BLUR * min(images.shape[2:])).view_as(images)
