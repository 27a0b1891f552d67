"""Grad-CAM: a layer's channels, weighted by their mean gradient (Selvaraju et al. 2017)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ._cams import CamMethod, weighted


@dataclass(frozen=True)
class Gradcam(CamMethod):
    """The sum of a layer's channels, each times the mean of its gradient over the cells (arXiv 1610.02391).

    `layer` (None: the model's default) is where channels are read; `relu` keeps only what speaks for the target.

    >>> grid, gradient = Tensor([[[1, 2]]]), Tensor([[[[3, -1]]]])
    >>> Gradcam().maps(grid, gradient, "any")
    tensor([[[1., 2.]]])
    """

    citation = "Selvaraju et al. 2017, arXiv 1610.02391"

    def combine(self, grid: Tensor, gradient: Tensor) -> Tensor:
        """Return signed maps [B, T, *cells]: `sum_c z_c mean(G_c)`."""
        weights = gradient.flatten(3).mean(3)  # [B, T, C]
        return weighted(grid, weights)
