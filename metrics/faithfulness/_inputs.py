"""Inputs as metrics change them: with channels and places, whatever they are, and what stands for nothing."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ambench.core import Trial


def pictures(trial: Trial[Any]) -> Tensor:
    """Return a case's inputs as [B, C, *extent]; a table [B, D] has one channel, and its columns are places."""
    images = trial.case.images
    return images.unsqueeze(1) if is_table(trial) else images


def as_given(trial: Trial[Any], changed: Tensor) -> Tensor:
    """Return changed inputs [n, C, *extent] as the network takes them."""
    return changed.squeeze(1) if is_table(trial) else changed


def is_table(trial: Trial[Any]) -> bool:
    """Return whether the inputs are rows of numbers, which have no neighbours."""
    return trial.case.images.ndim == 2


def blank(trial: Trial[Any]) -> Tensor:
    """Return what stands for nothing [1, C, *extent]: the examples' mean colour, or the mean of each column."""
    images = pictures(trial)
    mean = trial.concepts.mean.to(images)  # [C], of a table [D]
    shape = (1, 1, -1) if is_table(trial) else (1, -1, *[1] * (images.ndim - 2))
    return mean.view(shape).expand(1, *images.shape[1:])


def mixed(changed: Tensor, there: Tensor, elsewhere: Tensor) -> Tensor:
    """Return one of two pictures [n, C, *extent] where `changed` [n, 1, *extent], the other elsewhere, to the bit.

    It is `torch.where`, which takes three times as long over channels; a line from one value to another ends in just
    these two.

    >>> mixed(torch.tensor([[[True, False]]]), torch.tensor([[[0.1, 0.2]]]), torch.tensor([[[0.3, 0.7]]]))
    tensor([[[0.1000, 0.7000]]])
    """
    return torch.lerp(elsewhere, there, changed.to(elsewhere))


def span(trial: Trial[Any]) -> float:
    """Return how far apart the bounds of the inputs are: 1, unless they are in units of their own."""
    low, high = trial.concepts.bounds
    return high - low
