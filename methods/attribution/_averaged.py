"""Gradients to the pixels at many points that belong to each image: from one forward a point for all targets."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from ambench import features
from ambench.core import Model

# From rows [G] of the images and numbers [N] of their points to those points [N, G, *input].
Points = Callable[[Tensor, Tensor], Tensor]


def gradients_at(
    model: Model, targets: Tensor, count: int, points: Points, chunk: int
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Yield rows [G], numbers [N] and the derivatives of the targets there [N, G, T, *input], `chunk` points at a time.

    `count` points belong to each of the images that `targets` [B, T] asks of; an image's points come in their order.
    """
    together = max(1, chunk // count)  # images whose points fill a chunk
    for rows in torch.split(torch.arange(len(targets)), together):
        for numbers in torch.split(torch.arange(count), max(1, chunk // len(rows))):
            places = points(rows, numbers)  # [N, G, *input]
            asked = targets[rows].repeat(len(numbers), 1)  # [N * G, T]
            slopes = features.input_gradients(model, places.flatten(0, 1), asked)[1]
            yield rows, numbers, slopes.view(len(numbers), len(rows), *slopes.shape[1:])
