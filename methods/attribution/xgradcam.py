"""XGrad-CAM: channel weights by which each channel keeps its share of the score (Fu et al. 2020)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ._cams import CamMethod, weighted

EPSILON = 1e-7  # of the denominator, as in pytorch-grad-cam
SMALLEST_SUM = 1e-6  # of a channel, relative to the largest value of the image's grid: below it the channel is left out


@dataclass(frozen=True)
class Xgradcam(CamMethod):
    """The sum of a layer's channels, each times the mean of its gradient weighted by the channel itself.

    (arXiv 2008.02312.) A channel whose values cancel out, as signed features may, has no such mean and is left out.
    `layer`, `relu`: as in Grad-CAM.

    >>> grid, gradient = Tensor([[[1, 3]]]), Tensor([[[[2, -1]]]])
    >>> Xgradcam(relu=False).maps(grid, gradient, "any")  # (2 - 3) / (1 + 3), times the grid
    tensor([[[-0.2500, -0.7500]]])
    """

    citation = "Fu et al. 2020, arXiv 2008.02312"

    def combine(self, grid: Tensor, gradient: Tensor) -> Tensor:
        """Return signed maps [B, T, *cells]: `sum_c z_c sum(G_c z_c) / sum(z_c)`."""
        flat = grid.flatten(2)  # [B, C, cells]
        total = flat.sum(2)
        cancels = total.abs() < SMALLEST_SUM * flat.abs().amax((1, 2)).unsqueeze(1)  # [B, C]
        shares = (gradient.flatten(3) * flat.unsqueeze(1)).sum(3)  # [B, T, C]
        weights = (shares / (total + EPSILON).unsqueeze(1)).masked_fill(cancels.unsqueeze(1), 0.0)  # [B, T, C]
        return weighted(grid, weights)
