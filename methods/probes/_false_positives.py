"""Images without a concept that a probe took for it, and the direction that tells them from the others without it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from ambench.core import Skipped

from ._classifier import Classifier
from ._folds import out_of_fold
from ._probe import Sample

HARD_SHARE = 0.25  # of the negatives, that with the highest scores


@dataclass(frozen=True, eq=False)
class FalsePositives:
    """For K concepts: how many there are, the direction that tells them, and the probe [K, F] that they fooled.

    `missing` says of a concept, by number, why there is no direction: its vector is zero then.
    """

    counts: Tensor
    vectors: Tensor
    bias: Tensor
    probe: Tensor
    probe_bias: Tensor
    missing: Mapping[int, str]

    @property
    def cosine(self) -> Tensor:
        """The cosine of the two directions [K]."""
        return (self.vectors * self.probe).sum(1)

    @staticmethod
    def of(classifier: Classifier, sample: Sample, fewest: int, hard_negatives: bool = False) -> FalsePositives:
        """Return them for out-of-fold scores of a classifier; raises Skipped where no concept has `fewest`."""
        design, present = sample.design(), sample.present
        scores = out_of_fold(classifier, design, sample)
        fooled = ~present & (_highest(scores, present) if hard_negatives else scores > 0)
        counts = fooled.sum(0)
        missing = _missing(sample.concepts.names, counts, (~present & ~fooled).sum(0), fewest)
        if len(missing) == len(counts):
            raise Skipped("; ".join(missing.values()))
        vectors, bias = classifier.solve(design, fooled, ~present).restored()
        there = torch.tensor([number not in missing for number in range(len(counts))], device=vectors.device)
        probe, probe_bias = classifier.solve(design, present).restored()
        return FalsePositives(counts, vectors * there[:, None], bias * there, probe, probe_bias, missing)


def _highest(scores: Tensor, present: Tensor) -> Tensor:
    """The quarter of the negatives [N, K] with the highest scores."""
    ranked = scores.masked_fill(present, -torch.inf).argsort(0, descending=True).argsort(0)
    return ranked < (HARD_SHARE * (~present).sum(0)).round()


def _missing(names: tuple[str, ...], counts: Tensor, others: Tensor, fewest: int) -> dict[int, str]:
    found = {}
    for number, (positives, negatives) in enumerate(zip(counts.tolist(), others.tolist(), strict=True)):
        if min(positives, negatives) < fewest:
            had = f"{positives}, and {negatives} others; {fewest} of each are wanted"
            found[number] = f"too few false positives of '{names[number]}' ({had})"
    return found
