"""Guided backprop: gradients that pass only through open ReLUs, and only when positive (Springenberg et al. 2014)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ambench.core import AttributionMethod, Concepts, Heatmaps, Model, Randomness

from ._guided import rectified_maps


@dataclass(frozen=True)
class GuidedBackprop(AttributionMethod):
    """The gradient to the pixels where each ReLU hands back what is positive and was open, summed over the channels.

    Reacts little to the weights above the first layers (arXiv 1810.03292). `allow_smooth` lets activations that are no
    ReLU hand on their ordinary gradient, where a network has both.

    >>> GuidedBackprop().allow_smooth
    False
    """

    citation = "Springenberg et al. 2014, arXiv 1412.6806"

    allow_smooth: bool = False

    def attribute(
        self, model: Model, images: Tensor, targets: Tensor, concepts: Concepts, randomness: Randomness
    ) -> Heatmaps:
        """Return signed maps [B, T, *extent]; a map's score is the mean of its top 5 %.

        Raises Skipped for a network without a ReLU, or with an activation that has no such rule, such as GELU.
        """
        return rectified_maps(model, images, targets, "guided", self.allow_smooth)
