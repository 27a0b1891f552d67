"""Integrated gradients: shares that add up to the change from a baseline, by captum (Sundararajan et al. 2017)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import captum.attr
import torch
from torch import Tensor

from ambench import features
from ambench.core import AttributionMethod, Concepts, Heatmaps, InputError, Model, Randomness


@dataclass(frozen=True)
class IntegratedGradients(AttributionMethod):
    """The gradient's mean on the way from a baseline to the image, times that way (arXiv 1703.01365).

    `steps` Gauss-Legendre nodes; `baseline`: `black`, or the examples' `mean` colour; `chunk` inputs go through the
    network at a time, which changes nothing but memory. Values are summed over the channels and signed.

    >>> IntegratedGradients(steps=16, baseline="mean").steps
    16
    """

    citation = "Sundararajan et al. 2017, arXiv 1703.01365"

    steps: int = 50
    baseline: Literal["black", "mean"] = "black"
    chunk: int = 64

    def __post_init__(self) -> None:
        for name, value in (("steps", self.steps), ("chunk", self.chunk)):
            if value < 1:
                raise InputError(f"integrated_gradients needs {name} of at least 1, not {value}")

    def attribute(
        self, model: Model, images: Tensor, targets: Tensor, concepts: Concepts, randomness: Randomness
    ) -> Heatmaps:
        """Return maps [B, T, *extent]; a map's sum is its score, and close to the logit's change from the baseline."""
        start = self._start(images, concepts)
        size = max(1, self.chunk // self.steps)
        parts = zip(*(torch.split(part, size) for part in (images, start, targets)), strict=True)
        maps = torch.cat([self._shares(model, *part).sum(2) for part in parts])  # [B, T, *extent]
        return Heatmaps(maps.double().flatten(2).sum(2).float(), maps.float())

    def _start(self, images: Tensor, concepts: Concepts) -> Tensor:
        if self.baseline == "black":
            return torch.zeros_like(images)
        colour = concepts.mean.to(images).view(-1, *[1] * (images.ndim - 2))  # [C, 1, …]
        return colour.expand_as(images)

    def _shares(self, model: Model, images: Tensor, start: Tensor, targets: Tensor) -> Tensor:
        """Return each input value's share of each target [B, T, *input], from one call of captum for all targets."""
        count = targets.shape[1]
        method = captum.attr.IntegratedGradients(model.network)
        method.gradient_func = _Slopes(model, targets)
        repeated, starts = (part.repeat_interleave(count, 0) for part in (images.detach(), start))  # [B * T, *input]
        memory = max(self.chunk, len(images)) * count
        shares: Tensor = method.attribute(repeated, starts, n_steps=self.steps, internal_batch_size=memory)
        return shares.detach().reshape(len(images), count, *images.shape[1:])


@dataclass(frozen=True, eq=False)
class _Slopes:
    """Gives captum the gradients of all targets at a node from one pass, where it would make one for each."""

    model: Model
    targets: Tensor  # [B, T]

    def __call__(
        self, forward_fn: Any, inputs: tuple[Tensor], target_ind: Any = None, additional_forward_args: Any = None
    ) -> tuple[Tensor]:
        count = self.targets.shape[1]
        points = inputs[0].detach()[::count]  # [nodes * B, *input], the T copies of each being equal
        targets = self.targets.repeat(len(points) // len(self.targets), 1)
        slopes = features.input_gradients(self.model, points, targets)[1]
        return (slopes.flatten(0, 1),)
