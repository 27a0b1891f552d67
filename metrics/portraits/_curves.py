"""What a search without gradients had found after each evaluation, beside natural images and beside blind draws."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ambench.core import Portraits, Skipped, Trial

from ._responses import natural_sought

LEAST_SPAN = 1e-9  # natural images that rise less above blind draws are no measure


@dataclass(frozen=True, eq=False)
class Curves:
    """Of each portrait: the best logit so far after m evaluations in column m - 1 [P, M], and two logits to measure by.

    `blind` [P] is the mean of uniform draws from the space that was searched; `natural` [P] belongs to the strongest of
    the method's examples.
    """

    best: Tensor
    blind: Tensor
    natural: Tensor

    @property
    def measurable(self) -> Tensor:
        """Whether the strongest natural image is above blind draws [P]."""
        return self.natural - self.blind >= LEAST_SPAN

    def normalised(self, best: Tensor) -> Tensor:
        """Return logits [P, …] with blind draws at 0 and the strongest natural image at 1."""
        span = torch.where(self.measurable, self.natural - self.blind, 1.0)
        shape = (-1, *[1] * (best.ndim - 1))
        return (best - self.blind.view(shape)) / span.view(shape)


def curves(trial: Trial[Portraits]) -> Curves | None:
    """Return the curves of a trial's portraits, None without natural images.

    Raises Skipped for portraits that no search has made, or whose search did not look at logits.
    """
    portraits = trial.explanation
    if "blind_mean" not in portraits.details or "in_logits" not in portraits.details:
        raise Skipped("these portraits keep no curve of evaluations; a search without gradients does, as actmax_free")
    if not portraits.details["in_logits"].all():
        raise Skipped("this search looked at log-probabilities, and natural images are measured by their logits")
    if not len(trial.concepts):
        return None
    natural = natural_sought(trial).amax(0)  # [P]
    return Curves(portraits.history.double(), portraits.details["blind_mean"].double(), natural)
