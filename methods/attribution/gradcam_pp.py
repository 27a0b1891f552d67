"""Grad-CAM++: channel weights that favour several small instances (Chattopadhay et al. 2018)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ._cams import CamMethod, weighted

EPSILON = 1e-6  # of the denominator, as in pytorch-grad-cam; gradients of .01 already feel it


@dataclass(frozen=True)
class GradcamPp(CamMethod):
    """The sum of a layer's channels, each times its positive gradients, those of few cells weighing more.

    A cell's weight is `G^2 / (2 G^2 + G^3 sum z)` of its gradient G and the channel's sum (arXiv 1710.11063). The form
    is that of the logit's exponential, the gradient that of the logit itself. It is made for features that are never
    negative: where `sum z` is, the denominator may come near zero. `layer`, `relu`: as in Grad-CAM.

    >>> grid, gradient = Tensor([[[1, 3]]]), Tensor([[[[2, -1]]]])
    >>> GradcamPp().maps(grid, gradient, "any")  # 2 x 4 / (8 + 8 x 4), times the grid
    tensor([[[0.2000, 0.6000]]])
    """

    citation = "Chattopadhay et al. 2018, arXiv 1710.11063"

    def combine(self, grid: Tensor, gradient: Tensor) -> Tensor:
        """Return signed maps [B, T, *cells]: `sum_c z_c sum(alpha_c relu(G_c))`."""
        rising = gradient.flatten(3).relu()  # [B, T, C, cells]
        total = grid.flatten(2).sum(2)[:, None, :, None]  # [B, 1, C, 1]
        below = EPSILON / rising.square() + total * rising + 2  # infinite where nothing rises: a weight of 0
        weights = (rising / below).masked_fill(below == 0, 0.0).sum(3)  # [B, T, C]
        return weighted(grid, weights)
