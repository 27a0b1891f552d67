"""Attention rollout: how the blocks' attention together mixes patches into the class token (Abnar & Zuidema 2020)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from ambench import explanations, features
from ambench.core import AttributionMethod, Concepts, Heatmaps, Layer, Model, Randomness, Skipped

from ._attention import Attention, on_the_way


@dataclass(frozen=True)
class AttentionRollout(AttributionMethod):
    """The class token's row of the product of all blocks' attention, each halved with the identity (arXiv 2005.00928).

    `heads`: their mean, largest or smallest. Every target gets the same map: attention knows no class. With `gradient`
    an attention counts as far as it raises the target, `relu(dJ/dA A)`, and maps differ (after arXiv 2103.15679).
    Without a class token it is the mean of all rows.

    >>> AttentionRollout(heads="max").heads
    'max'
    """

    citation = "Abnar & Zuidema 2020, arXiv 2005.00928"

    heads: Literal["mean", "max", "min"] = "mean"
    gradient: bool = False

    def attribute(
        self, model: Model, images: Tensor, targets: Tensor, concepts: Concepts, randomness: Randomness
    ) -> Heatmaps:
        """Return maps [B, T, *extent], never negative; a map's score is the mean of its top 5 % of cells.

        Raises Skipped for a network without attention among all its tokens.
        """
        layout = _layout(model)
        if self.gradient:
            rows = self._rising(model, images, targets, layout)
        else:
            rows = self._plain(model, images, targets, layout).expand(-1, targets.shape[1], -1)  # [B, T, N]
        maps = _cells(rows, layout, model, images)
        return Heatmaps(explanations.top_share(maps), explanations.upsample(maps, images.shape[2:]).float())

    def _plain(self, model: Model, images: Tensor, targets: Tensor, layout: Layer) -> Tensor:
        """Return the row [B, 1, N] that all targets share."""
        seen: list[Tensor] = []  # one a block [B, N, N]
        watch = Attention(lambda weights: seen.append(self._join(_square(model, weights))))
        with torch.no_grad(), features.Reader(model, None) as reader, watch:
            logits = reader(images)
        features.check_targets(model, images, targets, logits)
        _require_alike(model, seen, len(images))
        return rolled(seen, _start(layout, seen[0])).unsqueeze(1)

    def _rising(self, model: Model, images: Tensor, targets: Tensor, layout: Layer) -> Tensor:
        """Return the rows [B, T, N] of attention weighted by the gradient of each target."""
        seen: list[Tensor] = []  # one a block [B, heads, N, N]
        with torch.enable_grad(), features.Reader(model, None) as reader:
            with Attention(lambda weights: seen.append(_square(model, weights))):
                logits = reader(images.detach().clone().requires_grad_())
            features.check_targets(model, images, targets, logits)
            _require_alike(model, seen, len(images))
            totals = logits.gather(1, targets.to(logits.device)).sum(0)  # [T]; images do not mix
            start = _start(layout, seen[0].detach())
            return torch.stack([self._risen(total, seen, start) for total in totals], 1)

    def _risen(self, total: Tensor, blocks: Sequence[Tensor], start: Tensor) -> Tensor:
        """Return the row [B, N] of one target; only its gradients are in memory."""
        sources = [on_the_way(weights) for weights in blocks]
        slopes = torch.autograd.grad(total, sources, retain_graph=True, materialize_grads=True)
        pairs = zip(slopes, blocks, strict=True)
        return rolled([self._join((s.view_as(w) * w.detach()).relu()) for s, w in pairs], start)

    def _join(self, weights: Tensor) -> Tensor:
        """Return the weights [B, N, N] of all heads together."""
        if self.heads == "mean":
            return weights.mean(1)
        return weights.amax(1) if self.heads == "max" else weights.amin(1)


def rolled(blocks: Sequence[Tensor], start: Tensor) -> Tensor:
    """Return a row [N] times the product of the blocks' attention [B, N, N], the last block leftmost: [B, N].

    Each block is the mean of its attention and the identity, with rows that sum to 1.

    >>> swap = torch.tensor([[[0.0, 1.0], [1.0, 0.0]]])
    >>> rolled([swap], torch.tensor([1.0, 0.0])), rolled([torch.eye(2)[None]] * 3, torch.tensor([1.0, 0.0]))
    (tensor([[0.5000, 0.5000]]), tensor([[1., 0.]]))
    """
    row = start.expand(len(blocks[0]), 1, -1)  # [B, 1, N]
    for block in reversed(blocks):
        mixed = (block + torch.eye(len(start)).to(block)) / 2
        row = row @ (mixed / mixed.sum(2, keepdim=True))
    return row.squeeze(1)


def _layout(model: Model) -> Layer:
    """Return a layer that tells which tokens are cells, and which the class token, if there is one."""
    return next((layer for layer in model.layers.values() if layer.as_class is not None), model.at(None))


def _start(layout: Layer, weights: Tensor) -> Tensor:
    """Return the row [N] to begin with: the class token's, or all tokens' alike."""
    count = weights.shape[-1]
    if layout.as_class is None:
        return weights.new_full((count,), 1 / count)
    return layout.as_class(torch.eye(count).to(weights)[None])[0]


def _cells(rows: Tensor, layout: Layer, model: Model, images: Tensor) -> Tensor:
    """Return rows [B, T, N] on the grid [B, T, *cells], without the tokens that are no cells."""
    grid = layout.as_grid(rows.flatten(0, 1).unsqueeze(2))  # [B * T, 1, *cells]
    if grid.ndim != images.ndim or grid.shape[1] != 1:
        raise Skipped(f"the tokens of model '{model.name}' are not laid out as cells, so their attention is no map")
    return grid.reshape(*rows.shape[:2], *grid.shape[2:])


def _square(model: Model, weights: Tensor) -> Tensor:
    """Return weights [B, heads, N, N]; raises Skipped where tokens attend to others than themselves."""
    if weights.ndim != 4 or weights.shape[2] != weights.shape[3]:
        raise Skipped(f"attention {list(weights.shape)} of model '{model.name}' is not from all tokens to all tokens")
    return weights


def _require_alike(model: Model, blocks: Sequence[Tensor], count: int) -> None:
    """Raise Skipped unless there are blocks, all among the same tokens of each of so many images."""
    if not blocks:
        raise Skipped(
            f"attention_rollout needs a transformer; model '{model.name}' has no attention that torch computes"
        )
    if {(len(block), block.shape[-1]) for block in blocks} != {(count, blocks[0].shape[-1])}:
        raise Skipped(f"the blocks of model '{model.name}' attend among different tokens, or within windows")
