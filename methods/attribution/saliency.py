"""Saliency: how strongly the target reacts to an infinitesimal change of each pixel (Simonyan et al. 2013)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from ambench import explanations, features
from ambench.core import AttributionMethod, Concepts, Heatmaps, Model, Randomness

from ._maps import largest, summed, where_known


@dataclass(frozen=True)
class Saliency(AttributionMethod):
    """The gradient of the logit to the pixels, one backward pass (Simonyan et al. 2013, arXiv 1312.6034).

    `mode`: `absolute` takes the largest magnitude over the channels, `signed` their sum.

    >>> from torch import nn, ones
    >>> net = nn.Sequential(nn.Flatten(), nn.Linear(4, 1, bias=False))
    >>> _ = net[1].weight.data.copy_(Tensor([[1, -2, 3, -4]]))
    >>> model = Model("linear", "none", net, {}, {}, "", (1, 2, 2))
    >>> asked = ones(1, 1).long() - 1
    >>> Saliency().attribute(model, ones(1, 1, 2, 2), asked, None, None).values
    tensor([[[[1., 2.],
              [3., 4.]]]])
    """

    citation = "Simonyan et al. 2013, arXiv 1312.6034"

    mode: Literal["absolute", "signed"] = "absolute"

    def attribute(
        self, model: Model, images: Tensor, targets: Tensor, concepts: Concepts, randomness: Randomness
    ) -> Heatmaps:
        """Return maps [B, T, *extent], never negative when absolute; a map's score is the mean of its top 5 %.

        Where the logit is not a number the map is none either: a closed ReLU would make it zero.
        """
        logits, slopes = features.input_gradients(model, images, targets)  # [B, U], [B, T, C, *extent]
        maps = where_known((largest if self.mode == "absolute" else summed)(slopes), logits, targets)
        return Heatmaps(explanations.top_share(maps), maps.float())
