"""The logits of many changed copies of each image, and the places that are changed; in bounded memory."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ambench import features
from ambench.core import Model

# From rows [N] of the images and numbers [N] of their changes to the changed copies [N, *input].
Change = Callable[[Tensor, Tensor], Tensor]


def logits_after(model: Model, targets: Tensor, count: int, change: Change, chunk: int) -> Tensor:
    """Return the target logits [B, T, N] of `count` changed copies N of each image that `targets` [B, T] asks of.

    `chunk` copies exist at a time, whichever image they belong to.
    """
    pairs = torch.arange(len(targets) * count, device=targets.device)
    found = []
    with torch.no_grad(), features.Reader(model, None) as logits:
        for some in torch.split(pairs, chunk):
            rows, numbers = some // count, some % count
            answer = logits(change(rows, numbers))  # [N, U]
            found.append(answer.gather(1, targets[rows].to(answer.device)))  # [N, T]
    return torch.cat(found).view(len(targets), count, -1).transpose(1, 2)


def extent_of(images: Tensor) -> tuple[int, ...]:
    """Return where an explanation of inputs [B, C, *extent] has values; of a table [B, D], its columns."""
    return tuple(images.shape[2:] if images.ndim > 2 else images.shape[1:])


def each(numbers: Tensor, like: Tensor) -> Tensor:
    """Return numbers [N] in a shape that broadcasts over N tensors of the shape of `like`."""
    return numbers.view(-1, *[1] * like.ndim)


def under_channels(masks: Tensor, images: Tensor) -> Tensor:
    """Return masks [N, *extent] that can be multiplied with inputs [N, C, *extent], or with a table's [N, D]."""
    return masks.unsqueeze(1) if images.ndim > 2 else masks


def cells(extent: Sequence[int], grid: int) -> Tensor:
    """Return the number of the cell in which each place lies [*extent] long; `grid` cells an axis, no more than places.

    >>> cells([2, 5], 2).tolist()
    [[0, 0, 0, 1, 1], [2, 2, 2, 3, 3]]
    """
    number = torch.zeros(tuple(extent), dtype=torch.long)
    for axis, side in enumerate(extent):
        many = min(grid, side)
        place = torch.arange(side) * many // side  # [side]
        number = number * many + place.view(-1, *[1] * (len(extent) - axis - 1))
    return number


def windows(extent: Sequence[int], sizes: Sequence[int], strides: Sequence[int]) -> Tensor:
    """Return every place of a sliding window as masks [N, *extent] bool; the last of each axis is cut at the border.

    >>> windows([5], [3], [2]).int().tolist()
    [[1, 1, 1, 0, 0], [0, 0, 1, 1, 1]]
    """
    axes = zip(extent, sizes, strides, strict=True)
    starts = [range(0, max(side - size, 0) + stride, stride) for side, size, stride in axes]
    masks = []
    for corner in itertools.product(*starts):
        mask = torch.zeros(tuple(extent), dtype=torch.bool)
        mask[tuple(slice(start, start + size) for start, size in zip(corner, sizes, strict=True))] = True
        masks.append(mask)
    return torch.stack(masks)
