"""Local sensitivity: how far the logit moves with a small step of a patch (ambench, after Miao & Matveev 2025)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from ambench import explanations, features
from ambench.core import AttributionMethod, Concepts, Heatmaps, InputError, Model, Randomness

from ._perturbed import cells, each, extent_of, logits_after, under_channels

FINEST = 1e-3  # a smaller step is lost in the rounding of single precision


@dataclass(frozen=True)
class LocalSensitivity(AttributionMethod):
    """The change of the logit over the step that caused it, all colours of a patch together (after arXiv 2504.15100).

    `delta` is the step, as a share of the range that inputs have; it goes down where up would leave the range. `grid`
    patches a side (1 pixel at the least); a table's columns move one by one. `mode`: `absolute` or `signed`; `central`
    steps both ways. `chunk` inputs go through the network at a time, which changes nothing but memory. A patch is one
    forward for all targets.

    >>> LocalSensitivity(grid=8).mode
    'absolute'
    """

    citation = "ambench, after Miao & Matveev 2025, arXiv 2504.15100"

    delta: float = 8 / 255
    grid: int = 16
    mode: Literal["absolute", "signed"] = "absolute"
    central: bool = False
    chunk: int = 64

    def __post_init__(self) -> None:
        for name, value in (("grid", self.grid), ("chunk", self.chunk)):
            if value < 1:
                raise InputError(f"local_sensitivity needs {name} of at least 1, not {value}")
        if not self.delta > 0:
            raise InputError(f"local_sensitivity needs a delta above 0, not {self.delta}")

    def attribute(
        self, model: Model, images: Tensor, targets: Tensor, concepts: Concepts, randomness: Randomness
    ) -> Heatmaps:
        """Return maps [B, T, *extent], every pixel its patch's value; a map's score is the mean of its top 5 %.

        Raises InputError for a step that single precision cannot resolve.
        """
        if self.delta < FINEST and images.dtype != torch.float64:
            raise InputError(f"in {images.dtype} a delta of {self.delta:g} is rounding; at least {FINEST:g} is wanted")
        before = features.target_logits(model, images, targets, self.chunk)  # [B, T]
        extent = extent_of(images)
        patch = cells(extent, max(extent) if images.ndim == 2 else self.grid).to(images.device)  # [*extent]
        steps = self._steps(images, patch, concepts.bounds)  # [B, N]

        def after(steps: Tensor) -> Tensor:
            def moved(rows: Tensor, numbers: Tensor) -> Tensor:
                there = under_channels(patch == each(numbers, patch), images)  # [N, *input] or [N, 1, *extent]
                return images[rows] + each(steps[rows, numbers], images[0]) * there

            return logits_after(model, targets, steps.shape[1], moved, self.chunk)  # [B, T, N]

        if self.central:
            slopes = (after(steps) - after(-steps)) / (2 * steps.unsqueeze(1))
        else:
            slopes = (after(steps) - before.unsqueeze(2)) / steps.unsqueeze(1)
        maps = (slopes.abs() if self.mode == "absolute" else slopes)[..., patch]  # [B, T, *extent]
        return Heatmaps(explanations.top_share(maps), maps.float())

    def _steps(self, images: Tensor, patch: Tensor, bounds: tuple[float, float]) -> Tensor:
        """Return the step of each patch [B, N]: down where a value in it would rise above the bounds."""
        highest = (images.amax(1) if images.ndim > 2 else images).flatten(1)  # [B, P]
        top = highest.new_full((len(images), int(patch.max()) + 1), -torch.inf)
        top.scatter_reduce_(1, patch.flatten().expand_as(highest), highest, "amax")
        step = self.delta * (bounds[1] - bounds[0])
        return torch.where(top + step > bounds[1], -step, step).to(images)
