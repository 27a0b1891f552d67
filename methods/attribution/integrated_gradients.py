"""Integrated gradients: shares that add up to the change from a baseline (Sundararajan, Taly & Yan 2017)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ambench import features
from ambench.core import AttributionMethod, Concepts, Heatmaps, InputError, Model, Randomness

from ._averaged import gradients_at
from ._baseline import Baseline, baseline_of
from ._maps import summed


@dataclass(frozen=True)
class IntegratedGradients(AttributionMethod):
    """The gradient's mean on the way from a baseline to the image, times that way (arXiv 1703.01365).

    `steps` Gauss-Legendre nodes; `baseline`: `black`, the examples' `mean` colour, or a `blur` of the image itself;
    `chunk` inputs go through the network at a time, which changes nothing but memory. Values are summed over the
    channels and signed. A node is one forward, and one backward for each target.

    >>> IntegratedGradients(steps=16, baseline="mean").steps
    16
    """

    citation = "Sundararajan et al. 2017, arXiv 1703.01365"

    steps: int = 50
    baseline: Baseline = "black"
    chunk: int = 32

    def __post_init__(self) -> None:
        for name, value in (("steps", self.steps), ("chunk", self.chunk)):
            if value < 1:
                raise InputError(f"integrated_gradients needs {name} of at least 1, not {value}")

    def attribute(
        self, model: Model, images: Tensor, targets: Tensor, concepts: Concepts, randomness: Randomness
    ) -> Heatmaps:
        """Return maps [B, T, *extent]; a map's sum is its score, and close to the logit's change from the baseline."""
        features.check_targets(model, images, targets)
        start = baseline_of(images, concepts, self.baseline)
        way = images - start
        nodes, weights = gauss_legendre(self.steps, like=images)

        def points(rows: Tensor, numbers: Tensor) -> Tensor:
            steps = nodes[numbers].view(-1, *[1] * images.ndim)  # [N, 1, …]
            return start[rows] + steps * way[rows]

        mean = images.new_zeros(len(images), targets.shape[1], *images.shape[1:])  # [B, T, *input]
        for rows, numbers, slopes in gradients_at(model, targets, self.steps, points, self.chunk):
            mean[rows] += torch.tensordot(weights[numbers], slopes, 1)
        maps = summed(mean * way.unsqueeze(1))  # [B, T, *extent]
        return Heatmaps(maps.double().flatten(2).sum(2).float(), maps.float())


def gauss_legendre(count: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """Return nodes and weights [count] that integrate polynomials of degree 2 count - 1 over [0, 1] exactly.

    >>> nodes, weights = gauss_legendre(2, like=torch.zeros(()))
    >>> round((weights * nodes**3).sum().item(), 6)
    0.25
    """
    nodes, weights = np.polynomial.legendre.leggauss(count)
    return torch.as_tensor((nodes + 1) / 2).to(like), torch.as_tensor(weights / 2).to(like)
