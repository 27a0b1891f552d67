"""The two lifts that let one metric score every family: portraits -> directions -> heatmaps (arXiv 2511.04312)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from ambench import features
from ambench.activations import Read, read
from ambench.core import Concepts, Directions, Heatmaps, InputError, Layer, Model, Portraits, Reading

SMALLEST_NORM = 1e-8  # a shorter vector is a dead direction


def directions(
    model: Model,
    portraits: Portraits,
    units: Tensor,
    contrast: Concepts,
    layer: str | None = None,
    pooling: features.Pooling = "mean",
) -> Directions:
    """Return the direction from contrast images to portraits, one for each of the units [K].

    Concept k of `contrast` belongs to unit k, and its contrast images are those that do not show it. A direction is the
    difference of mean pooled features at the layer; its bias puts zero half way. Dead portraits are left out; without a
    living one the vector is zero. `details["distance"]` is the length before normalising.
    """
    _check_lift(portraits, units, contrast)
    layer = model.at(layer).name
    made = features.pool(features.read(model, portraits.images, [layer])[layer], pooling).double()
    wanted = Read(layer, pooling)
    seen = read(model, contrast.images, [wanted])[wanted].whole().double()
    alive = portraits.alive.to(made.device)
    starts, ends = [], []
    for concept, unit in enumerate(units.tolist()):
        starts.append(seen[~contrast.present[:, concept].to(seen.device)].mean(0))
        mine = (portraits.units == unit).to(made.device) & alive
        ends.append(made[mine].mean(0) if mine.any() else starts[-1])
    start, end = torch.stack(starts), torch.stack(ends)  # [K, C] or [K, C, *cells]
    difference = end - start
    vectors, bias = normalised(difference, -(difference * (start + end) / 2).flatten(1).sum(1))
    distance = difference.flatten(1).norm(dim=1)
    return Directions(vectors.float(), bias.float(), layer, pooling, {"distance": distance})


def normalised(vectors: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    """Return vectors [K, …] at unit length with the bias [K] divided by the same number; too short ones become zero.

    >>> normalised(torch.tensor([[3.0, 4.0], [0.0, 0.0]]), torch.tensor([10.0, 1.0]))
    (tensor([[0.6000, 0.8000],
            [0.0000, 0.0000]]), tensor([2., 0.]))
    """
    norm = vectors.flatten(1).norm(dim=1)  # [K]
    scale = torch.where(norm < SMALLEST_NORM, torch.zeros_like(norm), 1 / norm.clamp_min(SMALLEST_NORM))
    return vectors * scale.view(-1, *[1] * (vectors.ndim - 1)), bias * scale


def localise(model: Model, directions: Directions, images: Tensor, targets: Tensor) -> Heatmaps:
    """Return where images [B, *input] show the concepts of some directions, `targets` [B, T] counting them.

    The concept localization map is the direction's own logit, cell by cell, bias inside: its mean over cells (`mean`)
    or its sum (`none`) is the score, with `peak` its largest cell. With `max` and `class` the map is that of `mean`,
    and the score that of the pooled features.
    """
    layer = model.at(directions.layer)
    output = features.output(model, images, layer.name)
    grid = layer.as_grid(output)
    vectors, bias = directions.vectors.to(grid), directions.bias.to(grid)
    targets = targets.to(grid.device)
    _check_directions(vectors, grid, targets, directions)
    maps = cell_logits(grid, vectors, bias)  # [B, K, *cells]
    scores = _logits(layer, output, maps, vectors, bias, directions.pooling)  # [B, K]
    rows = torch.arange(len(images), device=grid.device).unsqueeze(1)  # [B, 1]
    return Heatmaps(scores[rows, targets], upsample(maps[rows, targets], images.shape[2:]))


def strengths(model: Model, directions: Directions, images: Tensor, chunk: int = 64) -> Tensor:
    """Return how strongly images [N, *input] excite each direction, its own logit [N, K], without gradient."""
    layer = model.at(directions.layer)
    parts = []
    for start in range(0, max(len(images), 1), chunk):
        output = features.output(model, images[start : start + chunk], layer.name)
        vectors, bias = directions.vectors.to(output), directions.bias.to(output)
        maps = cell_logits(layer.as_grid(output), vectors, bias)
        parts.append(_logits(layer, output, maps, vectors, bias, directions.pooling))
    return torch.cat(parts)


def _logits(layer: Layer, output: Tensor, maps: Tensor, vectors: Tensor, bias: Tensor, pooling: Reading) -> Tensor:
    """Return the directions' own logits [B, K]."""
    if pooling == "peak":
        return maps.flatten(2).amax(2)
    return features.pooled(layer, output, pooling).flatten(1) @ vectors.flatten(1).T + bias


def cell_logits(grid: Tensor, vectors: Tensor, bias: Tensor) -> Tensor:
    """Return each cell's own logit [B, K, *cells] of a grid [B, C, *cells] along vectors [K, C] or [K, C, *cells]."""
    flat = grid.flatten(2) if grid.ndim > 2 else grid.unsqueeze(2)  # [B, C, cells]
    if vectors.ndim == 2:
        maps = torch.einsum("kc,bcn->bkn", vectors, flat) + bias[:, None]
    else:
        maps = torch.einsum("kcn,bcn->bkn", vectors.flatten(2), flat) + bias[:, None] / flat.shape[2]
    return maps.reshape(*maps.shape[:2], *grid.shape[2:])


def upsample(maps: Tensor, extent: Sequence[int]) -> Tensor:
    """Return maps [B, T, *cells] at the input's extent [B, T, *extent]: (bi)linear, corners not aligned.

    >>> upsample(torch.tensor([[[0.0, 1.0]]]), [4])
    tensor([[[0.0000, 0.2500, 0.7500, 1.0000]]])
    """
    dimensions = maps.ndim - 2
    if dimensions != len(extent):
        raise InputError(f"maps of {dimensions} dimensions cannot be resized to an input of extent {list(extent)}")
    if not dimensions or list(maps.shape[2:]) == list(extent):
        return maps
    mode = {1: "linear", 2: "bilinear", 3: "trilinear"}[dimensions]
    # Weights that sum to one only roughly would give a flat map an order in its last digits: its floor stays outside.
    floor = maps.amin(tuple(range(2, maps.ndim)), keepdim=True)  # [B, T, 1, …]
    return F.interpolate(maps - floor, size=list(extent), mode=mode, align_corners=False) + floor


def top_share(maps: Tensor, share: float = 0.05) -> Tensor:
    """Return the mean of the largest share of signed values of each map [B, T, *extent] -> [B, T].

    It is the score of heatmaps whose values do not add up to anything (after arXiv 2512.05038).

    >>> top_share(torch.tensor([[[1.0, 5.0, 3.0, -9.0]]]), share=0.5)
    tensor([[4.]])
    """
    flat = maps.flatten(2)
    count = max(1, math.ceil(share * flat.shape[2] - 1e-9))
    return flat.topk(count, dim=2).values.mean(2)


def _check_lift(portraits: Portraits, units: Tensor, contrast: Concepts) -> None:
    if len(units) != len(contrast.names):
        raise InputError(f"{len(units)} units need as many concepts in the contrast images, not {len(contrast.names)}")
    unseen = set(units.tolist()) - set(portraits.units.tolist())
    if unseen:
        raise InputError(f"there is no portrait of unit {min(unseen)}; at least one, dead or alive, is wanted")
    for concept, name in enumerate(contrast.names):
        if not (~contrast.present[:, concept]).any():
            raise InputError(f"there are no contrast images without concept '{name}'; at least one is wanted")


def _check_directions(vectors: Tensor, grid: Tensor, targets: Tensor, directions: Directions) -> None:
    wanted = grid.shape[1:] if directions.pooling == "none" else grid.shape[1:2]
    if vectors.shape[1:] != wanted:
        raise InputError(
            f"directions {list(vectors.shape)} with pooling '{directions.pooling}' do not fit layer "
            f"'{directions.layer}', whose grid is {list(grid.shape)}"
        )
    if targets.ndim != 2 or len(targets) != len(grid) or int(targets.max()) >= len(vectors) or int(targets.min()) < 0:
        raise InputError(f"targets must be [B, T] numbers of the {len(vectors)} directions, not {list(targets.shape)}")
