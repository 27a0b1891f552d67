"""Input times gradient: each pixel's first-order share in the logit (Shrikumar et al. 2016)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ambench import features
from ambench.core import AttributionMethod, Concepts, Heatmaps, Model, Randomness

from ._baseline import Baseline, baseline_of
from ._maps import summed, where_known


@dataclass(frozen=True)
class InputXGradient(AttributionMethod):
    """The gradient times the distance from a baseline, summed over the channels (arXiv 1605.01713).

    `baseline`: `black`, the examples' `mean` colour, or a `blur` of the image itself. Where the image equals it the map
    is zero, whatever the network does there.

    >>> InputXGradient(baseline="mean").baseline
    'mean'
    """

    citation = "Shrikumar et al. 2016, arXiv 1605.01713"

    baseline: Baseline = "black"

    def attribute(
        self, model: Model, images: Tensor, targets: Tensor, concepts: Concepts, randomness: Randomness
    ) -> Heatmaps:
        """Return signed maps [B, T, *extent]; a map's sum is its score."""
        logits, slopes = features.input_gradients(model, images, targets)  # [B, U], [B, T, *input]
        way = images - baseline_of(images, concepts, self.baseline)
        maps = where_known(summed(slopes * way.unsqueeze(1)), logits, targets)
        return Heatmaps(maps.double().flatten(2).sum(2).float(), maps.float())
