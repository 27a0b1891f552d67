"""LayerCAM: each cell weighted by its own positive gradient (Jiang et al. 2021)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ._cams import CamMethod


@dataclass(frozen=True)
class Layercam(CamMethod):
    """The sum over a layer's channels of positive gradient times value, cell by cell (Jiang et al. 2021, IEEE TIP 30).

    Usable at early layers, whose gradients differ from cell to cell. `layer` (None: the model's default) is where
    channels are read; `relu` keeps only what speaks for the target, which matters where features may be negative.

    >>> grid, gradient = Tensor([[[1, 3]]]), Tensor([[[[2, -1]]]])
    >>> Layercam().maps(grid, gradient, "any")
    tensor([[[2., 0.]]])
    """

    citation = "Jiang et al. 2021, IEEE Transactions on Image Processing 30"

    def combine(self, grid: Tensor, gradient: Tensor) -> Tensor:
        """Return signed maps [B, T, *cells]: `sum_c relu(G_c) z_c`."""
        return (gradient.relu() * grid.unsqueeze(1)).sum(2)
