"""The direction along which features change with a concept: the difference of class means (Pahde et al. 2022)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ambench.core import Directions, Pooling

from ._design import Design
from ._examples import FOLDS, balanced_accuracy, folds
from ._probe import Probe, Sample, directions, in_parts


@dataclass(frozen=True)
class PatternCav(Probe):
    """Covariance of features and label over the label's variance, at unit length (arXiv 2202.03482).

    For labels that say yes or no that is the mean with the concept less the mean without it: mean-difference CAV and
    FastCAV (arXiv 2505.17883) are the same direction under other names. A classifier cancels noise that comes with the
    concept, a pattern does not; it also takes in whatever else differs on average, the context among it. The bias puts
    zero half way between the means. `layer`, `pooling` and `chunk` as in `cav`.

    >>> PatternCav(pooling="max").supervision
    'concept images'
    """

    citation = "Pahde et al. 2022, arXiv 2202.03482; Schmalwasser et al. 2025, arXiv 2505.17883 (FastCAV)"
    supervision = "concept images"

    layer: str | None = None
    pooling: Pooling = "mean"
    chunk: int = 64

    @property
    def features(self) -> Pooling:
        """Its pooling."""
        return self.pooling

    def solve(self, sample: Sample) -> Directions:
        """Return vectors [K, C] or [K, C, *cells] (`none`), and `details["accuracy"]`, balanced, out of fold."""
        present, fold = sample.present, folds(sample.concepts)
        learnt = torch.cat([torch.ones_like(present), *(fold != number for number in range(FOLDS))], 1)
        design = sample.design()
        vectors, intercepts = _patterns(design, present.repeat(1, 1 + FOLDS), learnt)
        concepts = present.shape[1]
        left_out = learnt[:, concepts:]
        logits = design.times(vectors[:, concepts:]) + intercepts[concepts:]  # [N, FOLDS K]
        logits = logits.masked_fill(left_out, 0).reshape(len(fold), FOLDS, -1).sum(1)
        whole = design.restore(vectors[:, :concepts], intercepts[:concepts])
        return directions(sample, *whole, self.pooling, accuracy=balanced_accuracy(logits, present))

    def solve_samples(self, sample: Sample, counts: Tensor) -> Sequence[Directions]:
        """Return the directions of S samples [S, N] from one product; no accuracies."""
        concepts, design = sample.present.shape[1], sample.design()
        often = counts.to(sample.present.device).T.repeat_interleave(concepts, 1)  # [N, S K]
        whole = design.restore(*_patterns(design, sample.present.repeat(1, len(counts)), often))
        return in_parts(sample, *whole, self.pooling, concepts)


def _patterns(design: Design, present: Tensor, counts: Tensor) -> tuple[Tensor, Tensor]:
    """Return differences of means [F, Q] of standard features, and the intercepts [Q] that put zero half way."""
    often = counts.double()
    sides = [often * side / (often * side).sum(0).clamp_min(1) for side in (present, ~present)]
    means = design.combine(torch.cat(sides, 1))  # [F, 2 Q]
    shown, hidden = means.chunk(2, dim=1)
    difference = shown - hidden
    return difference, -(difference * (shown + hidden) / 2).sum(0)
