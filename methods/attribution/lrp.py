"""Layer-wise relevance propagation: the logit shared out layer by layer, conserving its sum (Bach et al. 2015)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from ambench.core import AttributionMethod, Concepts, Heatmaps, InputError, Model, Randomness

from ._maps import summed, where_known
from ._relevance import relevance


@dataclass(frozen=True)
class Lrp(AttributionMethod):
    """The logit, shared out among the inputs of every sum in proportion to their parts in it (arXiv 1604.00825).

    `rule`: `epsilon` shares by the sums themselves (their magnitude raised by `epsilon`), which is the gradient times
    the network's normalised input; `gamma` does so in linear layers, and in convolutions gives more to the parts that
    have the sum's own sign, `gamma` times as much. Biases and normalisation keep the share that is theirs.

    >>> Lrp(rule="epsilon").gamma
    0.25
    """

    citation = "Bach et al. 2015, doi 10.1371/journal.pone.0130140"

    rule: Literal["gamma", "epsilon"] = "gamma"
    epsilon: float = 1e-9
    gamma: float = 0.25

    def __post_init__(self) -> None:
        for name, value in (("epsilon", self.epsilon), ("gamma", self.gamma)):
            if not value > 0:
                raise InputError(f"lrp needs {name} above 0, not {value}")

    def attribute(
        self, model: Model, images: Tensor, targets: Tensor, concepts: Concepts, randomness: Randomness
    ) -> Heatmaps:
        """Return signed maps [B, T, *extent]; a map's sum is its score, the logit less what biases have kept.

        Raises Skipped for a network that has more than sums, maxima and activations, such as a transformer.
        """
        gamma = self.gamma if self.rule == "gamma" else 0.0
        logits, shares = relevance(model, images, targets, self.epsilon, gamma)  # [B, U], [B, T, *input]
        maps = where_known(summed(shares), logits, targets)
        return Heatmaps(maps.double().flatten(2).sum(2).float(), maps.float())
