"""How much a logit changes as a layer's features move along directions: at several layers, from one backward."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from ambench.core import InputError, Model
from ambench.features import gradients

VECTORS = 512  # that are held in double precision at a time


def sensitivities(
    model: Model, images: Tensor, units: Tensor, vectors: Mapping[str, Tensor], chunk: int = 64
) -> dict[str, Tensor]:
    """Return directional derivatives of logits along the vectors of each layer, by its name [B, N, K], float64.

    `units` are output units: N asked of every image [N], or its own of each image [B, N]. Vectors [K, C] move all cells
    of a grid alike, vectors [K, C, *cells] each cell by its own part. `chunk` images share one forward and one
    backward, whatever the number of layers, units and vectors. Raises InputError for vectors that do not fit a layer's
    grid, for a gradient that is not finite, and where no gradient reaches a layer (`features.gradients` says which).

    >>> from ambench.toy import network
    >>> along = {"features": torch.eye(3)}
    >>> found = sensitivities(network(), torch.rand(2, 3, 16, 16), torch.arange(3), along)["features"]
    >>> bool(((found - 40 * torch.eye(3)).abs() < 1e-3).all())  # that network's head adds 40 times each channel's mean
    True
    """
    targets = units.expand(len(images), -1)
    parts: dict[str, list[Tensor]] = {layer: [] for layer in vectors}
    for part, asked in zip(torch.split(images, chunk), torch.split(targets, chunk), strict=True):
        slopes = gradients(model, part, asked, list(vectors)).gradients
        for layer, slope in slopes.items():
            parts[layer].append(derivatives(slope, vectors[layer], layer))
    return {layer: torch.cat(found) for layer, found in parts.items()}


def derivatives(slopes: Tensor, vectors: Tensor, layer: str = "") -> Tensor:
    """Return inner products [B, T, K] of gradients [B, T, C, *cells] and vectors [K, C] or [K, C, *cells], float64.

    >>> slopes = torch.tensor([[[[1.0, 2.0], [0.0, -1.0]]]])  # one image, one unit, two channels of two cells
    >>> derivatives(slopes, torch.tensor([[1.0, 1.0]])).tolist()
    [[[2.0]]]
    >>> derivatives(slopes, torch.tensor([[[1.0, 0.0], [0.0, 1.0]]])).tolist()
    [[[0.0]]]
    """
    if not slopes.isfinite().all():
        raise InputError(f"the gradient of an image at layer '{layer}' is not finite; leave such images out")
    cellless = vectors.ndim == 2 and slopes.ndim > 3
    flat = slopes.double().flatten(3).sum(3) if cellless else slopes.double().flatten(2)  # [B, T, F]
    wanted = slopes.shape[2:3] if cellless else slopes.shape[2:]
    if vectors.shape[1:] != wanted:
        raise InputError(
            f"vectors {list(vectors.shape)} do not fit layer '{layer}', whose grid is {list(slopes.shape[2:])}"
        )
    parts = [flat @ part.to(flat).flatten(1).T for part in torch.split(vectors, VECTORS)]
    return torch.cat(parts, 2)
