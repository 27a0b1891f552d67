"""Deconvnet: the logit sent back through the network and rectified at every ReLU (Zeiler & Fergus 2014)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ambench.core import AttributionMethod, Concepts, Heatmaps, Model, Randomness

from ._guided import rectified_maps


@dataclass(frozen=True)
class Deconvnet(AttributionMethod):
    """The gradient to the pixels where each ReLU hands back what is positive, open or not, summed over the channels.

    Max-pools send back to where they took from. `allow_smooth` lets activations that are no ReLU hand on their
    ordinary gradient, where a network has both.

    >>> Deconvnet().allow_smooth
    False
    """

    citation = "Zeiler & Fergus 2014, arXiv 1311.2901"

    allow_smooth: bool = False

    def attribute(
        self, model: Model, images: Tensor, targets: Tensor, concepts: Concepts, randomness: Randomness
    ) -> Heatmaps:
        """Return signed maps [B, T, *extent]; a map's score is the mean of its top 5 %.

        Raises Skipped for a network without a ReLU, or with an activation that has no such rule, such as GELU.
        """
        return rectified_maps(model, images, targets, "deconvnet", self.allow_smooth)
