"""HiResCAM: what each cell contributes, exactly so under a linear head (Draelos & Carin 2020)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ._cams import CamMethod


@dataclass(frozen=True)
class Hirescam(CamMethod):
    """The sum over a layer's channels of gradient times value, cell by cell (arXiv 2011.08891).

    Where everything above the layer is linear, the signed cells (`relu=False`) add up to the logit less its bias, and
    their sum is the score. `layer` (None: the model's default) is where channels are read; `relu` keeps only what
    speaks for the target.

    >>> grid, gradient = Tensor([[[1, 3]]]), Tensor([[[[2, -1]]]])
    >>> Hirescam(relu=False).maps(grid, gradient, "any")
    tensor([[[ 2., -3.]]])
    """

    citation = "Draelos & Carin 2020, arXiv 2011.08891"
    adds_up = True

    def combine(self, grid: Tensor, gradient: Tensor) -> Tensor:
        """Return signed maps [B, T, *cells]: `sum_c G_c z_c`."""
        return (gradient * grid.unsqueeze(1)).sum(2)
