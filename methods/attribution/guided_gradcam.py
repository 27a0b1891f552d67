"""Guided Grad-CAM: guided backprop where Grad-CAM says that the target is (Selvaraju et al. 2017)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ambench import explanations, features
from ambench.core import AttributionMethod, Concepts, Heatmaps, Model, Randomness

from ._cams import require_cells, weighted
from ._guided import rectified_gradients
from ._maps import summed, where_known


@dataclass(frozen=True)
class GuidedGradcam(AttributionMethod):
    """The rectified gradient to the pixels, summed over the channels, times the enlarged Grad-CAM (arXiv 1610.02391).

    `layer` (None: the model's default) is where Grad-CAM reads; `allow_smooth` is that of guided backprop. Its fine
    lines are guided backprop's, which react little to the weights above them (arXiv 1810.03292).

    >>> from ambench.toy import network
    >>> import torch
    >>> model, images, red = network(), torch.rand(1, 3, 16, 16), torch.tensor([[0]])
    >>> GuidedGradcam().attribute(model, images, red, None, None).values.shape
    torch.Size([1, 1, 16, 16])
    """

    citation = "Selvaraju et al. 2017, arXiv 1610.02391"

    layer: str | None = None
    allow_smooth: bool = False

    def attribute(
        self, model: Model, images: Tensor, targets: Tensor, concepts: Concepts, randomness: Randomness
    ) -> Heatmaps:
        """Return signed maps [B, T, *extent], zero where Grad-CAM is; a map's score is the mean of its top 5 %.

        Raises Skipped where guided backprop does, and InputError where Grad-CAM does.
        """
        logits, slopes = rectified_gradients(model, images, targets, "guided", self.allow_smooth)
        layer = model.at(self.layer).name
        taps = features.gradients(model, images, targets, [layer])
        require_cells(taps.grids[layer], layer)
        places = weighted(taps.grids[layer], taps.gradients[layer].flatten(3).mean(3)).relu()  # [B, T, *cells]
        lines = summed(slopes) * explanations.upsample(places, images.shape[2:])
        maps = where_known(lines, logits, targets)
        return Heatmaps(explanations.top_share(maps), maps.float())
