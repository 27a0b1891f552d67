"""Occlusion: the score lost when a patch is covered (Zeiler & Fergus 2014)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ambench import explanations, features
from ambench.core import AttributionMethod, Concepts, Heatmaps, InputError, Model, Randomness

from ._baseline import Baseline, baseline_of
from ._perturbed import extent_of, logits_after, under_channels, windows


@dataclass(frozen=True)
class Occlusion(AttributionMethod):
    """How far the logit falls when a window is covered, averaged over a pixel's windows (arXiv 1311.2901).

    `window` is a share of each side and `stride` one of the window; the last window of an axis is cut at the border. A
    table's columns are covered one by one. What covers is the `baseline`: `black`, the examples' `mean` colour, or a
    `blur` of the image itself. `chunk` inputs go through the network at a time, which changes nothing but memory. A
    window is one forward for all targets: 100 of them with these settings.

    >>> Occlusion(window=0.25, stride=1.0).baseline
    'mean'
    """

    citation = "Zeiler & Fergus 2014, arXiv 1311.2901"

    window: float = 3 / 16
    stride: float = 1 / 2
    baseline: Baseline = "mean"
    chunk: int = 64

    def __post_init__(self) -> None:
        for name, value, whole in (("window", self.window, "side"), ("stride", self.stride, "window")):
            if not 0 < value <= 1:
                raise InputError(
                    f"occlusion needs a {name} above 0 and up to 1, as a share of the {whole}, not {value}"
                )
        if self.chunk < 1:
            raise InputError(f"occlusion needs chunk of at least 1, not {self.chunk}")

    def attribute(
        self, model: Model, images: Tensor, targets: Tensor, concepts: Concepts, randomness: Randomness
    ) -> Heatmaps:
        """Return signed maps [B, T, *extent] in logits; a map's score is the mean of its top 5 %."""
        before = features.target_logits(model, images, targets, self.chunk)  # [B, T]
        cover = baseline_of(images, concepts, self.baseline)
        masks = self._windows(images).to(images.device)  # [N, *extent]

        def covered(rows: Tensor, numbers: Tensor) -> Tensor:
            return torch.where(under_channels(masks[numbers], images), cover[rows], images[rows])

        after = logits_after(model, targets, len(masks), covered, self.chunk)  # [B, T, N]
        flat = masks.flatten(1).to(after)  # [N, P]
        maps = ((before.unsqueeze(2) - after) @ (flat / flat.sum(0))).view(*before.shape, *masks.shape[1:])
        return Heatmaps(explanations.top_share(maps), maps.float())

    def _windows(self, images: Tensor) -> Tensor:
        extent = extent_of(images)
        if images.ndim == 2:
            return windows(extent, [1], [1])
        sizes = [max(1, round(self.window * side)) for side in extent]
        strides = [max(1, round(self.stride * size)) for size in sizes]
        return windows(extent, sizes, strides)
